"""A name that was found once is found again wherever it stands in the text, and its given name with it.

患儿宋诗梓…诗梓夜间咳嗽 -> both        小名豆豆…豆豆妈妈 -> both
"""

from collections.abc import Iterable, Iterator

from p2med.deid.folding import without_gaps
from p2med.deid.keep import CLINICAL_WORDS
from p2med.deid.language import language
from p2med.deid.name_score import is_chinese
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

# Two characters that follow each other like this in texts are a word.
_A_WORD = -7.0
_BEFORE_WORD = frozenset("是说叫给带抱让把和跟的我家儿子女患宝")


def repeated_names(folded: str, names: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of every further place of the names, and of the given names of three characters."""
    forms: set[str] = set()
    for start, end in names:
        name = without_gaps(folded[start:end]).text
        if all(map(is_chinese, name)):
            forms |= {name} if len(name) > 1 else set()
            if (
                len(name) == 3
                and name[0] in SURNAMES
                or name.startswith(COMPOUND_SURNAMES)
                and len(name) == 4
            ):
                forms.add(name[-2:])
        elif len(name) > 3:
            forms.add(folded[start:end])
    for form in sorted(forms, key=lambda f: (-len(f), f)):
        at = folded.find(form)
        while at >= 0:
            if len(form) > 2 or _stands_alone(folded, at, form):
                yield at, at + len(form)
            at = folded.find(form, at + 1)


def _stands_alone(folded: str, at: int, form: str) -> bool:
    """No word of the language; or a word, but where somebody is spoken of."""
    if form in CLINICAL_WORDS or language().pair.get(form, -99.0) > _A_WORD:
        before = folded[at - 1 : at]
        return form[0] == form[1] and (not is_chinese(before) or before in _BEFORE_WORD)
    return True
