"""How plausible a decoded text is: its cost in bits in the header of a Chinese hospital.

张三   20   two common hanzi                  ÕÅÈý   48   four letters, none beside an ASCII letter
Müller 26   one letter among ASCII ones       M黮ler 38   a rare hanzi between small letters
"""

import unicodedata
from functools import lru_cache


def bits(text: str) -> float:
    """How unlikely a text is in a Chinese hospital's header, in bits; infinite when no one can mean it."""
    total, before = 0.0, ""
    for here, after in zip(text, text[1:] + " ", strict=True):
        kind, cost = _character(here)
        if kind == "latin" and not (_is_letter(before) or _is_letter(after)):
            cost = 12.0
        elif kind == "symbol" and (before.isdigit() or after.isdigit()):
            cost = 8.0
        elif kind == "hanzi":
            cost += 6.0 * (_is_small(before) + _is_small(after))
        total += cost
        before = here
    return total


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _is_small(character: str) -> bool:
    return character.isascii() and character.islower()


@lru_cache(maxsize=None)
def _character(c: str) -> tuple[str, float]:
    """Kind and cost. A level-1 hanzi of GB 2312 has 3,755 equals; a rare one has tens of thousands."""
    point, category = ord(c), unicodedata.category(c)
    if c.isascii():
        return "ascii", 4.0 if c.isprintable() or c in "\r\n\t\f" else float("inf")
    if category in ("Cc", "Cn", "Cs"):
        return "none", float("inf")
    if category == "Co":
        return "private", 25.0
    if "\u3400" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" or point >= 0x20000 or c == "〇":
        return "hanzi", _hanzi(c)
    if point < 0x250 and category in ("Lu", "Ll"):
        return "latin", 6.0
    if point < 0x100:
        return "symbol", 11.0 if c == "·" else 12.0
    if "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uff65" or "\u2010" <= c <= "\u2027":
        return "punctuation", 11.0
    return "other", 16.0


def _hanzi(c: str) -> float:
    try:
        lead = c.encode("gb2312")[0]
    except UnicodeEncodeError:
        return 16.0 if ord(c) < 0x20000 else 19.0
    return 10.0 if lead <= 0xD7 else 13.0
