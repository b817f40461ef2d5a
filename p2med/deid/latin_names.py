"""Names in Latin letters: after a label or a role, and Chinese names in pinyin anywhere.

Patient: Emily Johnson -> Emily Johnson        ZHANG Zihan, Zihan Zhang -> both        CT MRI -> nothing
"""

import re
from collections.abc import Iterator

from p2med.deid.cues import LATIN_CUE
from p2med.deid.keep import LATIN_WORDS
from p2med.deid.words import words

_FAMILIES = frozenset(words("family_in_pinyin"))
_SYLLABLE = "(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?(?:iang|uang|iong|ang|eng|ing|ong|ian|iao|uai|uan|van|ueng|ai|ei|ui|ao|ou|iu|ie|ve|ue|er|an|en|in|un|vn|ia|ua|uo|io|a|o|e|i|u|v)"
_PINYIN = re.compile(rf"(?:{_SYLLABLE}){{1,3}}")
_WORDS = re.compile(
    r"(?<![A-Za-z0-9])([A-Z][A-Za-z]+)(?:[ ,]{1,2}|\^)([A-Z][a-zA-Z]+(?:[-' ]?[A-Za-z]{2,})?)(?![A-Za-z0-9])"
)
_TOKEN = r"[A-Z][A-Za-z'’\-]*[A-Za-z]\.?|[A-Z]\."
_AFTER_CUE = re.compile(rf"(?:{_TOKEN})(?:[ ·,^]{{1,2}}(?:{_TOKEN}|[a-z]{{2,8}}(?![a-z]))){{0,3}}")
_NO_NAMES = frozenset(words("no_latin_name"))


def latin_name_spans(folded: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of names in Latin letters.

    Args:
      folded: fold(text). text: as written, because only capitals tell a name.
    """
    for cue in LATIN_CUE.finditer(folded):
        found = _AFTER_CUE.match(text, cue.end())
        if not found:
            continue
        words = re.findall("[a-z]+", folded[found.start() : found.end()])
        several = len(words) > 1 or cue["label"]
        if words[0] in _NO_NAMES or words[0] in LATIN_WORDS and not several:
            continue
        if (
            several
            and sum(map(len, words)) > 3
            and (cue["label"] or not text[found.start() : found.end()].isupper())
        ):
            yield found.span()
        elif (
            len(words[0]) > 3
            and not found[0].isupper()
            and not re.match(r"[评征病氏综]", text[found.end() :][:1])
        ):
            yield found.span()
    if "  " in text or " " in text or "," in text or "^" in text:
        for found in _WORDS.finditer(text):
            first, second = found[1].lower(), re.sub("[^a-z]", "", found[2].lower())
            for family, given in ((first, second), (second, first)):
                long = len(given) > 3 or len(family) > 3
                if family in _FAMILIES and given not in LATIN_WORDS and long and _PINYIN.fullmatch(given):
                    yield found.span()
                    break
