"""How plausible a decoded text is: its cost in bits in the header of a Chinese hospital.

张三   20   two common hanzi              ÕÅÈý   48   four letters of no word: capitals and small ones mixed
Müller 26   a word with one such letter   M黮ler 38   a rare hanzi between small letters
Иван   32   a word of one script          袠胁邪薪 46   four hanzi, one of them rare
"""

import re
import unicodedata
from functools import cache

_WORD = re.compile(r"[^\W\d_]+")
_COMMON_LATIN = set("áàâäãåæçéèêëíñóôöøßúüÁÀÂÄÃÅÆÇÉÈÊËÍÑÓÔÖØÚÜšžčćőűşğıŠŽČĆŐŰŞĞİ")
_UNITS = set("℃°±×÷≤≥≈≠→←↑↓ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ①②③④⑤⑥⑦⑧⑨αβγδμ％")
WORD_LETTER, LONE_LETTER = 8.0, 16.0


def bits(text: str) -> float:
    """How unlikely a text is in a Chinese hospital's header, in bits; infinite when no one can mean it."""
    total = sum(_character(c) for c in text)
    for word in _WORD.finditer(text):
        if not word[0].isascii():
            total += _word(word[0])
    for n, c in enumerate(text):
        if c in _UNITS and not c.isalpha() and (text[n - 1 : n].isdigit() or text[n + 1 : n + 2].isdigit()):
            total -= 4.0
    return total


def _character(c: str) -> float:
    """A character that is no letter; letters cost what their word costs."""
    if c.isascii():
        return 4.0 if c.isprintable() or c in "\r\n\t\f" else float("inf")
    category = unicodedata.category(c)
    if category in ("Cc", "Cn", "Cs"):
        return float("inf")
    if category == "Co":
        return 40.0
    if c.isalpha():
        return 0.0
    if "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uff65" or "\u2010" <= c <= "\u2027" or c == "·":
        return 11.0
    return 12.0 if c in _UNITS or ord(c) < 0x100 else 16.0


def _word(word: str) -> float:
    """A word of letters that are not all ASCII; its ASCII letters are paid for already."""
    scripts = {s for c in word if (s := _script(c)) != "ascii"}
    if scripts == {"hanzi"}:
        costs = [hanzi(c) for c in word if not c.isascii()]
        between = sum(_is_small(a) and not b.isascii() or _is_small(b) and not a.isascii()
                      for a, b in zip(word, word[1:], strict=False))  # fmt: skip
        return sum(costs) + 6.0 * between
    if scripts == {"latin"}:
        return _latin(word)
    alone = len(word) == 1 or (len(scripts) > 1 and not scripts <= {"hanzi", "kana"})
    each = LONE_LETTER if alone or any(c.isascii() for c in word) else WORD_LETTER
    return sum(hanzi(c) if _script(c) == "hanzi" else each for c in word if not c.isascii())


def _latin(word: str) -> float:
    """Letters beside ASCII letters, in the case of a name, are cheap; bytes of hanzi mix the cases."""
    cased = word.isupper() or word.islower() or (word[0].isupper() and word[1:].islower())
    own = [c for c in word if not c.isascii()]
    if len(word) == 1:
        return 12.0 if word < "\u0100" else LONE_LETTER
    if len(own) == len(word) or len(own) > max(2, 2 * (len(word) - len(own))):
        return sum(12.0 if c < "\u0180" else 18.0 for c in own)
    return sum((6.0 if c in _COMMON_LATIN else 9.0) if cased else 12.0 for c in own)


def _is_small(character: str) -> bool:
    return character.isascii() and character.islower()


@cache
def _script(c: str) -> str:
    if c.isascii():
        return "ascii"
    if "\u3400" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" or ord(c) >= 0x20000 or c == "〇":
        return "hanzi"
    if ord(c) < 0x250:
        return "latin"
    name = unicodedata.name(c, "").split()
    return "kana" if name[:1] in (["HIRAGANA"], ["KATAKANA"]) else name[0].lower() if name else "none"


@cache
def hanzi(c: str) -> float:
    """A level-1 hanzi of GB 2312 has 3,755 equals, a rare one tens of thousands."""
    try:
        lead = c.encode("gb2312")[0]
    except UnicodeEncodeError:
        return 16.0 if ord(c) < 0x20000 else 19.0
    return 10.0 if lead <= 0xD7 else 13.0
