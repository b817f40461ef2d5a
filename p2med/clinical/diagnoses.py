"""Disease labels of an impression or a diagnosis, by rule, without a model.

    支气管肺炎，右侧少量胸腔积液；未见气胸。   -> ("支气管肺炎", "胸腔积液")
    1.急性支气管炎 2.肺结核待排               -> ("支气管炎",)
    两肺心膈未见明显异常。                     -> ("正常",)

The words are those of diagnoses.csv (vocabulary.py); what the text says of them is decided by certainty.py.
Whoever knows a hospital's wording edits the table, not the code.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from p2med.clinical.certainty import Status, clause_starts, describes_lesion, status_of
from p2med.clinical.vocabulary import NORMAL, find, lower, vocabulary

__all__ = ["NORMAL", "Mention", "Status", "english", "extract", "icd10", "mentions", "simplify", "vocabulary"]

_AFTER = 18
"""Characters after a mention that may qualify it."""


@dataclass(frozen=True)
class Mention:
    """One place where a disease is named: `text[start:end]`."""

    label: str
    status: Status
    start: int
    end: int


def mentions(text: str) -> tuple[Mention, ...]:
    """Find every named disease and whether the text affirms it, in reading order."""
    folded = fold(text)
    plain = lower(folded)
    if re.fullmatch(r"\s*正常[。.]?\s*|\s*normal\.?\s*", plain):
        return (Mention(NORMAL, "affirmed", 0, len(text)),)
    starts = clause_starts(plain)
    found = []
    for span in find(vocabulary(), folded, starts):
        clause = max((s for s in starts if s <= span.start), default=0)
        before, after = plain[clause : span.start], plain[span.end : span.end + _AFTER]
        status = status_of(before, span.between, after, span.label == NORMAL, _is_sign(span.label))
        found.append(Mention(span.label, status, span.start, span.end))
    return tuple(found)


def _is_sign(label: str) -> bool:
    """ICD-10 chapter R, or a lump, a fluid or a size."""
    return icd10(label).startswith("R") or label.endswith(("占位", "肿块", "结节", "积液", "大"))


@lru_cache(maxsize=65_536)
def extract(text: str) -> tuple[str, ...]:
    """Affirmed diseases in order of first mention; the general one goes where a special one is affirmed.

    正常 is a label only of a text that affirms nothing else, doubts nothing and describes no lesion.
    """
    found = mentions(text)
    affirmed = [m.label for m in found if m.status == "affirmed"]
    if any(m.status == "uncertain" for m in found) or (NORMAL in affirmed and describes_lesion(fold(text))):
        affirmed = [x for x in affirmed if x != NORMAL]
    return simplify(affirmed)


def simplify(labels: list[str]) -> tuple[str, ...]:
    """Drop repeats, labels that another one makes precise, and 正常 beside a disease."""
    broader = vocabulary().broader
    implied = set()
    for label in labels:
        while label in broader:
            label = broader[label]
            implied.add(label)
    kept = [x for x in dict.fromkeys(labels) if x not in implied]
    return tuple(x for x in kept if x != NORMAL or len(kept) == 1)


def english(label: str) -> str:
    """The English name of a label, for reports; the label itself if it is not in the vocabulary."""
    return vocabulary().english.get(label, label)


def icd10(label: str) -> str:
    """The ICD-10 code of a label, "" where none is known."""
    return vocabulary().icd10.get(label, "")


_ASCII = {0xFF01 + i: 0x21 + i for i in range(94) if chr(0x21 + i).isalnum()}


def fold(text: str) -> str:
    """Full-width letters and digits to ASCII; every position stays where it is."""
    return text.translate(_ASCII)
