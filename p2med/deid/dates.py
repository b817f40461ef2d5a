"""Dates in running text, moved by the patient's offset so that every interval stays.

与2022年10月29日片比较 -> 与2022年5月3日片比较        10月29日 -> 5月3日 (the year comes from the note's date)
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta

_FULL = re.compile(
    r"(?<!\d)((?:18|19|20)\d\d)(\s*[年\-/.．－]\s*)(\d{1,2})(\s*[月\-/.．－]\s*)(\d{1,2})(日|号)?(?!\d)"
)
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)(?!\d)")
_MONTH = re.compile(r"(?<!\d)((?:19|20)\d\d)年(\d{1,2})月(?!\s*\d)")
_DAY = re.compile(r"(?<![\d年])(\d{1,2})月(\d{1,2})(日|号)")
_ISO_SHORT = re.compile(r"(?<![\d\-./])(\d{1,2})-(\d{1,2})(?=片|日|胸片|CT|CR|DR|复查)")
# A day without a year lies in the past of its note, but a follow-up may be booked a little ahead.
_AHEAD_DAYS = 45


def date_spans(text: str, offset_days: int, note: date | None) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, shifted text) for each date; what is no possible date is left alone."""
    for found in _FULL.finditer(text):
        year, first, month, second, day, last = found.groups()
        moved = _moved(int(year), int(month), int(day), offset_days)
        if moved:
            padded = "年" not in first
            moved_month, moved_day = _like(month, moved.month, padded), _like(day, moved.day, padded)
            yield *found.span(), f"{moved.year}{first}{moved_month}{second}{moved_day}{last or ''}"
    for found in _COMPACT.finditer(text):
        moved = _moved(*(int(g) for g in found.groups()), offset_days)
        if moved:
            yield *found.span(), f"{moved:%Y%m%d}"
    for found in _MONTH.finditer(text):
        moved = _moved(int(found[1]), int(found[2]), 15, offset_days)
        if moved:
            yield *found.span(), f"{moved.year}年{_like(found[2], moved.month)}月"
    if note is None:
        return
    for pattern, form in ((_DAY, "{}月{}{}"), (_ISO_SHORT, "{}-{}{}")):
        for found in pattern.finditer(text):
            said = _nearest(int(found[1]), int(found[2]), note)
            if said:
                moved = said + timedelta(offset_days)
                tail = found[3] if pattern is _DAY else ""
                month, day = _like(found[1], moved.month), _like(found[2], moved.day)
                yield *found.span(), form.format(month, day, tail)


def _moved(year: int, month: int, day: int, offset_days: int) -> date | None:
    try:
        return date(year, month, day) + timedelta(offset_days)
    except (ValueError, OverflowError):
        return None


def _nearest(month: int, day: int, note: date) -> date | None:
    """The last such day before the note, or the first just after it."""
    for year in (note.year + 1, note.year, note.year - 1):
        try:
            said = date(year, month, day)
        except ValueError:
            continue
        if said <= note + timedelta(_AHEAD_DAYS):
            return said
    return None


def _like(original: str, value: int, padded: bool = False) -> str:
    """Two digits where two digits with a leading zero were written, or always two where that is the form."""
    return f"{value:02d}" if len(original) == 2 and (padded or original.startswith("0")) else str(value)
