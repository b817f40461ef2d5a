"""Numbers as people write them in dates: 25, 05, 二十五, 廿五, 二〇一九."""

from datetime import date

_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "○": 0, "0": 0, "两": 2, "元": 1}
_WORDS = "零一二三四五六七八九"
_ENGLISH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip


def number(text: str) -> int:
    """The value of a day or a month: 5, 05, 二十五, 廿五, 三十, Mar."""
    if text.isdecimal():
        return int(text)
    if text[:3] in _ENGLISH:
        return _ENGLISH.index(text[:3]) + 1
    tens, rest = 0, text
    if text[0] in "廿卅":
        tens, rest = ("廿卅".index(text[0]) + 2) * 10, text[1:]
    elif "十" in text:
        before, _, rest = text.partition("十")
        tens = (_DIGITS[before] if before else 1) * 10
    return tens + (_DIGITS[rest] if rest else 0)


def year_of(text: str, note: date | None) -> int:
    """2019, 19 or 二〇一九; two digits are the last such year up to a year after the note."""
    value = int(text) if text.isdecimal() else int("".join(str(_DIGITS[c]) for c in text))
    if len(text) == 4:
        return value
    latest = note.year + 1 if note else 2035
    return latest - (latest - value) % 100


def like(original: str, value: int, padded: bool = False) -> str:
    """`value` in the form of `original`: its numerals, its leading zero, its number of year digits."""
    if original.isdecimal():
        if len(original) == 4:
            return f"{value:04d}"
        if value > 99:
            return f"{value % 100:02d}"
        return f"{value:02d}" if len(original) == 2 and (padded or original.startswith("0")) else str(value)
    if original[:3] in _ENGLISH:
        return _ENGLISH[value - 1].capitalize() if len(original) == 3 else _MONTHS[value - 1].capitalize()
    if value > 31:
        zero = next((c for c in original if c in "〇○零"), "〇")
        return "".join(zero if c == "0" else _WORDS[int(c)] for c in str(value)[-len(original) :])
    tens, ones = divmod(value, 10)
    if not tens:
        return _WORDS[ones]
    return ("" if tens == 1 else _WORDS[tens]) + "十" + (_WORDS[ones] if ones else "")
