"""A free-text record -> its sections, by the headings that Chinese hospitals print.

"主诉：咳嗽4天。现病史：患儿4天前…\\n【体格检查】T 38℃ …个人史：足月顺产"
->  chief_complaint 咳嗽4天。  history_of_present_illness 患儿4天前…  physical_examination T 38℃ …

What stands under a heading of no section (个人史, 签名) or above the first heading is left out.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from p2med.ingest.headings import headings
from p2med.schema.terms import SECTION_BY_HEADING, RecordKind, Section

_SECTIONS = {s.value for s in Section}
_BLANK = r"[ \t\u3000]*"
_DIGIT = r"[一二三四五六七八九十\d]{1,2}"
_NUMBER = rf"(?:{_DIGIT}[.、．]|[（(]{_DIGIT}[)）])?{_BLANK}"
SURE_LENGTH = 3
"""Shorter headings (诊断, 处理) are words of running text too, and count at the start of a line alone."""
SURE = {"主诉", "查体", "体检", "辅检"}


def split(text: str, kind: RecordKind, extra: Mapping[str, Section] | None = None) -> dict[Section, str]:
    """The sections of a text, in the order in which they come; {} when it has no heading of its kind.

    Args:
      extra: further headings and their sections.
    """
    pattern, section_of = _grammar(kind, tuple((extra or {}).items()))
    found: dict[Section, list[str]] = {}
    marks = list(pattern.finditer(text))
    for n, mark in enumerate(marks):
        heading = next(g for g in mark.groups() if g is not None)
        section = section_of.get("".join(heading.split()))
        content = text[mark.end() : marks[n + 1].start() if n + 1 < len(marks) else len(text)].strip()
        if section is not None and content:
            found.setdefault(section, []).append(content)
    return {s: "\n".join(parts) for s, parts in found.items()}


@lru_cache(maxsize=64)
def _grammar(
    kind: RecordKind, extra: tuple[tuple[str, Section], ...]
) -> tuple[re.Pattern[str], dict[str, Section]]:
    chinese = [h for h in headings() if not h.spelling.isascii()]
    section_of: dict[str, Section] = {}
    for h in chinese:
        if h.means in _SECTIONS and kind.value in h.kinds:
            section_of.setdefault(h.spelling, Section(h.means))
            section_of.setdefault(h.means, Section(h.means))
    section_of |= {"".join(h.split()): s for h, s in extra}
    # What heads a section of another kind of record, or a table's column, ends a section too.
    every = {*section_of, *(h.spelling for h in chinese if h.means != "text")}
    every |= {h for h in SECTION_BY_HEADING if not h.isascii() and len(h) >= SURE_LENGTH}
    sure = {h for h in every if len(h) >= SURE_LENGTH or h in SURE}
    boxed = rf"[【\[]{_BLANK}({_either(every)}){_BLANK}[】\]][:：]?"
    line = rf"^{_BLANK}{_NUMBER}({_either(every)}){_BLANK}(?:(?:如下)?[:：]|$)"
    inline = rf"(?<=[。；;！!，\s\u3000]){_NUMBER}({_either(sure)}){_BLANK}(?:如下)?[:：]"
    return re.compile(f"{boxed}|{line}|{inline}", re.MULTILINE), section_of


def _either(words: set[str]) -> str:
    """Any of the words, the longest first; printed headings are often spaced (主  诉)."""
    ordered = sorted(words, key=lambda w: (-len(w), w))
    return "|".join(_BLANK.join(map(re.escape, w)) for w in ordered)


def section_of_heading(heading: str, kind: RecordKind) -> Section | None:
    """The section that a heading names in this kind of record."""
    named = "".join(heading.split()).strip("：:")
    return _grammar(kind, ())[1].get(named)
