"""The editable vocabulary of diseases, diagnoses.csv, and how a text is searched for its spellings.

    支气管肺炎,Bronchopneumonia,急性支气管肺炎|小叶性肺炎|bronchopneumonia,肺炎,J18.0
    肺结节,Lung nodule,肺内结节|肺~结节,,R91

One line a label: its English name, its synonyms (`|` between them), the label that it is a kind of, its code
of ICD-10 (WHO) where one is known. `肺~结节` is 肺 and 结节 in this order with at most 12 characters of the
same clause between them (右肺中叶小结节). An abbreviation in capitals (MPP) is read in capitals alone. A line
without a label lists words that hold a disease's name and are none (肺炎链球菌).
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

NORMAL = "正常"
FARTHEST = 12
"""Characters between the two halves of a split spelling; more joined one organ with another's disease."""
Index = dict[str, tuple[str, ...]]
"""First two characters -> the words that start so, longest first."""


class Span(NamedTuple):
    """Where a spelling stands; of a split one also where its second half starts and what parts the two."""

    start: int
    end: int
    label: str
    tail_start: int = 0
    between: str = ""

    def replaces(self, other: "Span") -> bool:
        """肋~骨折 is more precise than the 骨折 that it ends with; 肝~囊肿 leaves 肾小囊肿 alone."""
        inside = self.start <= other.start and other.end <= self.end
        return inside and (other.start >= self.tail_start or other.label == self.label)


@dataclass(frozen=True)
class Vocabulary:
    """`label_of` maps every whole spelling (lower case) to its label, "" for words that are no disease.

    `heads_of` maps the second half of a split spelling to (first half, label); `capitals` are the spellings
    that count in capitals alone.
    """

    label_of: dict[str, str]
    heads_of: dict[str, tuple[tuple[str, str], ...]]
    capitals: frozenset[str]
    broader: dict[str, str]
    english: dict[str, str]
    icd10: dict[str, str]
    whole: Index
    tails: Index


@cache
def vocabulary() -> Vocabulary:
    """Read diagnoses.csv once.

    Raises:
      ValueError: two labels claim one spelling, or `broader` names no label.
    """
    with open(Path(__file__).with_name("diagnoses.csv"), encoding="utf-8", newline="") as file:
        return build(list(csv.DictReader(file)))


def build(rows: list[dict[str, str]]) -> Vocabulary:
    """The vocabulary of these rows of diagnoses.csv.

    Raises:
      ValueError: two labels claim one spelling, or `broader` names no label.
    """
    label_of: dict[str, str] = {}
    heads_of: dict[str, list[tuple[str, str]]] = {}
    capitals = set()
    for row in rows:
        label = row["label_zh"]
        for spelling in dict.fromkeys(x for x in (label, *row["synonyms"].split("|")) if x and x != NORMAL):
            low = lower(spelling)
            head, split, tail = low.partition("~")
            if split:
                heads_of.setdefault(tail, []).append((head, label))
            elif label_of.setdefault(low, label) != label:
                raise ValueError(f"diagnoses.csv: {spelling} belongs to two labels")
            if spelling.isascii() and spelling != low and spelling == spelling.upper():
                capitals.add(low)
    broader = {r["label_zh"]: r["broader"] for r in rows if r["broader"]}
    if unknown := sorted(set(broader.values()) - {r["label_zh"] for r in rows if r["label_zh"]}):
        raise ValueError(f"diagnoses.csv: broader names no label: {unknown}")
    return Vocabulary(
        label_of=label_of,
        heads_of={tail: tuple(heads) for tail, heads in heads_of.items()},
        capitals=frozenset(capitals),
        broader=broader,
        english={r["label_zh"]: r["label_en"] for r in rows},
        icd10={r["label_zh"]: r["icd10"] for r in rows},
        whole=_index(label_of),
        tails=_index(heads_of),
    )


def _index(words: dict[str, object] | dict[str, str]) -> Index:
    by_start: dict[str, list[str]] = {}
    for word in words:
        by_start.setdefault(word[:2], []).append(word)
    return {start: tuple(sorted(group, key=lambda w: (-len(w), w))) for start, group in by_start.items()}


def lower(text: str) -> str:
    """ASCII to lower case; every position stays where it is."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def find(known: Vocabulary, folded: str, breaks: list[int]) -> list[Span]:
    """Every spelling in the text, in reading order; words that are no disease are left out.

    Args:
      folded: the text with ASCII letters and digits (see diagnoses.fold), capitals kept.
      breaks: where clauses begin; a split spelling stays inside one.
    """
    text = lower(folded)
    taken = [
        Span(start, end, known.label_of[text[start:end]])
        for start, end in _scan(known.whole, text)
        if text[start:end] not in known.capitals or folded[start:end].isupper()
    ]
    parts = _split_spellings(known, text, breaks, taken)
    whole = [t for t in taken if t.label and not any(p.replaces(t) for p in parts)]
    return sorted({*whole, *parts})


def _scan(index: Index, text: str) -> Iterator[tuple[int, int]]:
    """Longest words first, one after another; Latin words stand alone."""
    position = 0
    while position < len(text):
        start = text[position : position + 2]
        for word in (*index.get(start, ()), *(index.get(start[:1], ()) if len(start) == 2 else ())):
            end = position + len(word)
            if text.startswith(word, position) and not (word.isascii() and _inside_word(text, position, end)):
                yield position, end
                position = end - 1
                break
        position += 1


def _inside_word(text: str, start: int, end: int) -> bool:
    around = text[start - 1 : start] + text[end : end + 1]
    return any(c.isascii() and c.isalpha() for c in around)


_JOINED = re.compile(r"[、及和与/]")
_OPINION = re.compile(r"[考虑不除外能首先多均为是系倾向可疑似部分性的]{0,8}")
_LESION = re.compile(r"[影灶块]|病变|结节|肿物|占位|改变|增厚|肿大|增大|信号|密度|回声|椎体")
_SENTENCE_END = re.compile(r"[。；;！!\n]")


def _split_spellings(known: Vocabulary, text: str, breaks: list[int], taken: list[Span]) -> list[Span]:
    """Heads before each tail of its clause: the nearest one, and farther ones that 、 及 和 与 join to it."""
    found: list[Span] = []
    for tail_start, end in _scan(known.tails, text):
        clause = max((b for b in breaks if b <= tail_start), default=0)
        low = max(clause, tail_start - FARTHEST)
        heads = known.heads_of[text[tail_start:end]]
        near = _places(heads, text, low, tail_start)
        if not near and (earlier := _earlier_clause(text, breaks, clause, tail_start)) is not None:
            # 右肺下叶斑片影，考虑炎症: the place stands in the clause before, the span is the tail's own.
            if places := _places(heads, text, earlier, clause):
                found.append(Span(tail_start, end, max(places)[2], tail_start))
            continue
        # A whole spelling with the same ending (胸腔积液) counts as a nearer head of its tail.
        joined = [t.start for t in taken if t.end == end and t.start < tail_start and t.label]
        last = min(joined, default=None)
        for start, head_end, label in sorted(near, reverse=True):
            apart = last is not None and start < last and not _JOINED.search(text, head_end, last)
            if not apart and not _blocked(Span(start, end, label), head_end, tail_start, taken):
                found.append(Span(start, end, label, tail_start, text[head_end:tail_start]))
                last = start
    return found


def _places(heads: tuple[tuple[str, str], ...], text: str, low: int, high: int) -> list[tuple[int, int, str]]:
    """Start, end and label of the last of each head between `low` and `high`."""
    found = ((text.rfind(head, low, high), head, label) for head, label in heads)
    return [(place, place + len(head), label) for place, head, label in found if place >= 0]


def _earlier_clause(text: str, breaks: list[int], clause: int, tail_start: int) -> int | None:
    """Where the clause before begins, if this one is an opinion alone and that one describes a lesion."""
    if not clause or not _OPINION.fullmatch(text, clause, tail_start):
        return None
    start = max((b for b in breaks if b < clause), default=0)
    before = text[start:clause]
    return start if _LESION.search(before) and not _SENTENCE_END.search(before) else None


def _blocked(span: Span, head_end: int, tail_start: int, taken: list[Span]) -> bool:
    """True where the head is part of another word (肺 in 肺门) or another disease stands between the two."""
    for t in taken:
        if t.start <= span.start and head_end <= t.end and (span.end <= t.end or not t.label):
            if t.end - t.start > head_end - span.start:
                return True
        elif t.end != span.end and head_end < t.end and t.start < tail_start and t.label:
            return True
    return False
