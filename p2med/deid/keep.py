"""Layer 5: words of medicine that look like names. They stay, wherever no label says that they are one."""

from collections.abc import Collection
from functools import lru_cache

from p2med.deid.folding import fold
from p2med.deid.words import words

EPONYMS = words("eponym")
DRUGS = words("drug")
CLINICAL_WORDS = frozenset(words("clinical_word"))
# Abbreviations that the initials of a name may equal, and words that its spelling may.
LATIN_WORDS = frozenset(words("latin_word"))
PROTECTED = frozenset(fold(t) for t in (*EPONYMS, *DRUGS, *words("brand")))
"""Eponyms, drugs, brands of drugs, formulas and devices: never touched."""
_BY_FIRST: dict[str, list[str]] = {}
for _term in sorted(PROTECTED | {w for w in CLINICAL_WORDS if w[0] not in "小阿"}):
    _BY_FIRST.setdefault(_term[:2], []).append(_term)


def term_length(folded: str, start: int) -> int:
    """How long the longest word of medicine that begins here is; 0 where none begins."""
    terms = _BY_FIRST.get(folded[start : start + 2], ())
    return max((len(t) for t in terms if folded.startswith(t, start)), default=0)


@lru_cache(maxsize=1)
def terms_in(folded: str) -> tuple[tuple[int, int], ...]:
    """(start, end) of every word of medicine in the text, in order; kept for the text that is at work."""
    return tuple(
        (at, at + len(term))
        for at in range(len(folded) - 1)
        for term in _BY_FIRST.get(folded[at : at + 2], ())
        if folded.startswith(term, at)
    )


def is_kept(
    folded: str, start: int, end: int, announced: bool = False, of: Collection[str] | None = None
) -> bool:
    """True when [start, end) is a word of medicine or touches one beyond it: 丁桂儿, but not 丁桂英.

    Args:
      announced: a role stands before it. of: look for these alone.
    """
    for at, stop in terms_in(folded):
        if at >= end:
            break
        # 班主任|何淑珍: after a role a word that begins before the name is no word.
        if stop <= start or announced and at < start:
            continue
        inside = start <= at and stop <= end and stop - at < end - start
        if not inside and (of is None or folded[at:stop] in of):
            return True
    return False


def begins_as_protected(folded: str, start: int) -> bool:
    """True where an eponym, a drug or a brand begins: 哈里森|沟 is one, too, though no list has it."""
    return any(at == start and folded[at:stop] in PROTECTED for at, stop in terms_in(folded))
