"""Full names that a text tells surely: after a label or a role with its sign. 班主任：宋秀英 -> 宋秀英

They are known values for the other texts of the same case, where no role may stand before them.
"""

from collections.abc import Iterable

from p2med.deid.folding import fold
from p2med.deid.keep import is_kept
from p2med.deid.name_score import is_chinese
from p2med.deid.names import find_cues, name_spans
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

_LENGTHS = (3, 4)
"""Two characters may be a word elsewhere."""


def told_names(texts: Iterable[str]) -> frozenset[str]:
    """The names of three and four Chinese characters that any of the texts tells surely."""
    found: set[str] = set()
    for text in texts:
        folded = fold(text)
        cues, inside = find_cues(folded)
        for start, end, by in name_spans(folded, cues, inside):
            name = folded[start:end]
            if by != "nothing" and start in cues and cues[start].gap and _is_full(name):
                if not is_kept(folded, start, end, announced=True):
                    found.add(name)
    return frozenset(found)


def _is_full(name: str) -> bool:
    if len(name) not in _LENGTHS or not all(map(is_chinese, name)):
        return False
    return name.startswith(COMPOUND_SURNAMES) or len(name) == 3 and name[0] in SURNAMES
