"""Dates in running text, moved by the patient's offset so that every interval stays.

与2022年10月29日片比较 -> 与2022年5月3日片比较        10月29日 -> 5月3日 (the year comes from the note's date)

What is surely a date and cannot be counted with (2月30日, a lunar day) becomes [日期].
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from p2med.deid.date_forms import FORMS, SHORT, SIGNED, TAIL, WEEKDAY, Form
from p2med.deid.numerals import like, number, year_of
from p2med.deid.short_dates import short_dates

NO_DATE = "[日期]"
# A day without a year lies in the past of its note, but a follow-up may be booked a little ahead.
_AHEAD_DAYS = 45
# Without any date to go by, days of a common year keep their intervals to each other.
_ANY_NOTE = date(2023, 12, 31)
_YEARS_BACK = {"今年": 0, "本年": 0, "当年": 0, "去年": 1, "上年": 1, "前年": 2, "明年": -1}
_WORDS_OF_YEARS = {0: "今年", 1: "去年", 2: "前年", -1: "明年"}
_MONTHS_BACK = {
    "本月": 0,
    "当月": 0,
    "这个月": 0,
    "上月": 1,
    "上个月": 1,
    "下月": -1,
    "下个月": -1,
    "次月": -1,
}
_DAY_OF_PART = {"初": 5, "上旬": 5, "中旬": 15, "下旬": 25, "底": 28, "末": 28}
_WEEKDAYS = "一二三四五六日"
_RANGE = re.compile(r"\s?(?:[-~—–―]+|至|到)\s?")
_CONNECTS = re.compile(r"[\s日号]*(?:[-~—–―]+|至|到|、|,|和|及)?\s*")


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    text: str
    day: date | None


def date_spans(
    text: str, offset_days: int, note: date | None, signed: Sequence[int] = ()
) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, shifted text) of each date, in order, without overlaps.

    Args:
      text: folded. note: the text's own (true) date; without it the text's dates say the year.
      signed: where names end; `李芳 4.27` is a signature and its day.
    """
    joined: _Found | None = None
    for one in _in_order(text, offset_days, note, signed):
        if joined and _RANGE.fullmatch(text, joined.end, one.start):
            between = text[joined.end : one.start]
            joined = _Found(joined.start, one.end, joined.text + between + one.text, one.day)
            continue
        if joined:
            yield joined.start, joined.end, joined.text
        joined = one
    if joined:
        yield joined.start, joined.end, joined.text


def _in_order(text: str, offset_days: int, note: date | None, signed: Sequence[int]) -> Iterator[_Found]:
    matches = sorted(_matches(text), key=lambda x: (x[0].start(), -x[0].end(), x[2]))
    own = note or _note_of(text, matches)
    matches += [(m, SIGNED, len(FORMS)) for at in signed if (m := SIGNED.pattern.match(text, at))]
    matches += [(m, SHORT, len(FORMS)) for m in short_dates(text, own)]
    matches.sort(key=lambda x: (_span(x[0])[0], -x[0].end(), x[2]))
    note = own or _ANY_NOTE
    last: _Found | None = None
    for found, form, _ in matches:
        start = _span(found)[0]
        if last and start < last.end:
            continue
        before = last if last and _CONNECTS.fullmatch(text, last.end, start) else None
        one = _moved(text, found, form, offset_days, note, before)
        if one is None:
            continue
        yield one
        last = one
        while last.day and (tail := TAIL.match(text, last.end)):
            more = _tail(tail, last.day, offset_days)
            if more is None:
                break
            yield more
            last = more


def reference_date(text: str) -> date | None:
    """The day the text was written: a date at its head or after a label, or the last of all."""
    return _note_of(text, sorted(_matches(text), key=lambda x: (x[0].start(), -x[0].end(), x[2])))


_OWN_DATE = re.compile(r"(?:记录|报告|检查|就诊|书写|入院|随访|交班|转出|查房|今日|^)[^\n。，,;；]{0,6}$")
_OTHER_DATE = re.compile(r"(?:出生|生日|生于|复诊|预约|下次|有效|到期)[^\n。，,;；]{0,6}$")
_HEAD = 24


def _note_of(text: str, matches: list) -> date | None:
    latest: date | None = None
    for found, form, _ in matches:
        if form.name not in ("full", "compact", "english", "day_first"):
            continue
        day = _day(found, form, None)
        before = text[max(0, found.start() - 12) : found.start()]
        if day is None or _OTHER_DATE.search(before):
            continue
        if found.start() <= _HEAD or _OWN_DATE.search(before):
            return day
        latest = max(latest or day, day)
    return latest


def _matches(text: str) -> Iterator[tuple[re.Match[str], Form, int]]:
    for rank, form in enumerate(FORMS):
        if any(hint in text for hint in form.hints):
            for found in form.pattern.finditer(text):
                yield found, form, rank


def _span(found: re.Match[str]) -> tuple[int, int]:
    return found.span("all") if "all" in found.re.groupindex else found.span()


def _day(found: re.Match[str], form: Form, note: date | None, after: date | None = None) -> date | None:
    """The true date that is meant, the 15th of a month and the first of July where no more is said."""
    said = found.groupdict()
    day = number(said["day"]) if said.get("day") else 1
    if form.name in ("month", "month_of_note"):
        day = _DAY_OF_PART.get(said.get("part") or "", 15)
    month = number(said["month"]) if said.get("month") else 7
    if said.get("year"):
        return _valid(year_of(said["year"], note), month, day)
    if note is None:
        return None
    if said.get("years_back"):
        return _valid(note.year - _YEARS_BACK[said["years_back"]], month, day)
    if said.get("months_back"):
        months = note.year * 12 + note.month - 1 - _MONTHS_BACK[said["months_back"]]
        return _valid(months // 12, months % 12 + 1, day)
    if not said.get("month"):
        return _nearest_day(day, note)
    if after:
        return next((d for y in (0, 1) if (d := _valid(after.year + y, month, day)) and d >= after), None)
    return _nearest(month, day, note)


def _moved(
    text: str, found: re.Match[str], form: Form, offset: int, note: date | None, before: _Found | None
) -> _Found | None:
    start, end = _span(found)
    if form.name == "no_calendar":
        return _Found(start, end, NO_DATE, None)
    assert note
    true = _day(found, form, note, before.day if before else None)
    try:
        new = true + timedelta(offset) if true else None
    except OverflowError:
        new = None
    if true is None or new is None:
        return _Found(start, end, NO_DATE, None) if form.sure else None
    said = found.groupdict()
    padded = _is_padded(said, "月" not in found[0])
    pieces = []
    for group in ("year", "years_back", "months_back", "month", "part", "day"):
        if said.get(group):
            pieces.append(
                (*found.span(group), _piece(group, said[group], new, note + timedelta(offset), padded))
            )
    weekday = WEEKDAY.match(text, end)
    if weekday and form.name not in ("month", "year"):
        old = _WEEKDAYS.index(weekday["weekday"].replace("天", "日"))
        pieces.append((*weekday.span("weekday"), _WEEKDAYS[(old + offset) % 7]))
        end = weekday.end()
    if said.get("months_back") or not (said.get("month") or form.name == "year"):
        # The month may be another one now, so it is named.
        return _Found(
            start,
            end,
            f"{new.month}月{_piece('day', said['day'], new, new, False)}" + text[found.end("day") : end],
            true,
        )
    return _Found(start, end, _put(text, start, end, pieces), true)


def _piece(group: str, said: str, new: date, note: date, padded: bool) -> str:
    if group == "year":
        return like(said, new.year)
    if group == "years_back":
        return _WORDS_OF_YEARS.get(note.year - new.year, f"{new.year}年")
    if group == "months_back":
        return ""
    if group == "part":
        return (
            ("上旬" if new.day <= 10 else "中旬" if new.day <= 20 else "下旬")
            if "旬" in said
            else ("初" if new.day <= 10 else "中旬" if new.day <= 20 else "底")
        )
    return like(said, new.month if group == "month" else new.day, padded)


def _is_padded(said: dict[str, str | None], separated: bool) -> bool:
    """05 for 5 where a zero or two digits twice say so: 2022-10-29 → 2022-09-29, 10月29日 → 9月29日."""
    written = [x for g in ("month", "day") if (x := said.get(g)) and x.isdecimal()]
    if any(x.startswith("0") for x in written):
        return True
    return len(written) == 2 and all(len(x) == 2 for x in written) and separated and bool(said.get("year"))


def _tail(tail: re.Match[str], first: date, offset: int) -> _Found | None:
    """The second day of `3月5日-8日` and of `3.5-3.8`: the first such day after the first one."""
    if tail["month"]:
        month, day = int(tail["month"]), int(tail["day_of_month"])
        true = next((d for y in (0, 1) if (d := _valid(first.year + y, month, day)) and d >= first), None)
    else:
        day, months = number(tail["day"]), first.year * 12 + first.month - 1
        choice = (_valid((months + m) // 12, (months + m) % 12 + 1, day) for m in (0, 1))
        true = next((d for d in choice if d and d >= first), None)
    if true is None:
        return None
    new, moved_first = true + timedelta(offset), first + timedelta(offset)
    if tail["month"]:
        text = f"{like(tail['month'], new.month)}{tail['s']}{like(tail['day_of_month'], new.day)}"
        return _Found(tail.start("month"), tail.end(), text, true)
    text = like(tail["day"], new.day) + tail["mark"]
    if (new.year, new.month) != (moved_first.year, moved_first.month):
        text = f"{new.month}月{text}"
    return _Found(tail.start("day"), tail.end(), text, true)


def _put(text: str, start: int, end: int, pieces: list[tuple[int, int, str]]) -> str:
    done, at = [], start
    for first, last, new in sorted(pieces):
        done += [text[at:first], new]
        at = last
    return "".join([*done, text[at:end]])


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _nearest(month: int, day: int, note: date) -> date | None:
    """The last such day before the note, or the first just after it."""
    for year in range(note.year + 1, note.year - 9, -1):
        said = _valid(year, month, day)
        if said and said <= note + timedelta(_AHEAD_DAYS):
            return said
    return None


def _nearest_day(day: int, note: date) -> date | None:
    """The last such day of a month up to the note."""
    for back in range(3):
        months = note.year * 12 + note.month - 1 - back
        said = _valid(months // 12, months % 12 + 1, day)
        if said and said <= note:
            return said
    return None
