"""Names in Latin letters: after a label or a role, and Chinese names in pinyin anywhere.

Patient: Emily Johnson -> Emily Johnson        ZHANG Zihan, Zihan Zhang -> both        CT MRI -> nothing
"""

import re
from collections.abc import Iterator, Mapping

from p2med.deid.cues import LATIN_LABEL
from p2med.deid.initials import initial_spans
from p2med.deid.keep import LATIN_WORDS
from p2med.deid.name_likelihood import Cue
from p2med.deid.words import words

_FAMILIES = frozenset(words("family_in_pinyin"))
_SYLLABLE = (
    "(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?"
    "(?:iang|uang|iong|ang|eng|ing|ong|ian|iao|uai|uan|van|ueng|ai|ei|ui|ao|ou|iu|ie|ve|ue|er|an|en|in|un|vn|"
    "ia|ua|uo|io|a|o|e|i|u|v)"
)
_PINYIN = re.compile(rf"(?:{_SYLLABLE}){{1,3}}")
_CAPITAL, _LETTER = "[A-ZÀ-ÖØ-Þ]", "[A-Za-zÀ-ÖØ-öø-ɏ]"
_WORDS = re.compile(
    r"(?<![A-Za-z0-9])([A-Z][A-Za-z]+)(?:[ ,]{1,2}|\^)([A-Z][a-zA-Z]+(?:[-' ]?[A-Za-z]{2,})?)(?![A-Za-z0-9])"
)
_TOKEN = rf"{_CAPITAL}(?:{_LETTER}|['’\-](?={_LETTER}))+|{_CAPITAL}\."
_PARTICLE = "van|von|de|der|den|del|da|di|la|le|bin|ibn|al|el"
_AFTER_CUE = re.compile(
    rf"(?:{_TOKEN})(?:,\s(?:{_TOKEN}))?(?:[ ·^]{{1,2}}(?:{_TOKEN}|(?:{_PARTICLE})(?![a-z]))){{0,3}}"
)
_CAPITALIZED = re.compile(rf"{_CAPITAL}{_LETTER}")
_GIVEN, _FAMILY = frozenset(words("given_in_english")), frozenset(words("family_in_english"))
# Mom Anna, Kind regards, Omar Haddad: two words of which neither need be in a list.
_PERSON_BEFORE = re.compile(
    r"(?<![a-z])(?:mom|mum|dad|mother|father|aunt|uncle|grandmother|grandfather|guardian|sincerely,|regards,|dear|referring|"
    r"mr|mrs|ms|miss|prof|professor|nurse|teacher|attending|consultant|resident)[\s.:(]{1,3}$"
)
_AGE_BEHIND = re.compile(
    r"[,(\s]{1,2}\d{1,3}\s?(?:y|m|yo|yrs?|months?|years?|岁|月)\b|[,\s]{1,2}(?:male|female|boy|girl|dob)\b"
)
_TWO_WORDS = re.compile(
    rf"(?<![A-Za-z0-9\-])({_TOKEN}) (?:[A-Z]\. ?)?({_TOKEN}(?:-{_TOKEN})?)(?![A-Za-z0-9])"
)
_NO_NAMES = frozenset(words("no_latin_name"))
# CHAN TSZ KIT, Nguyen Thi Hoa: three words, the first a family name.
_THREE_WORDS = re.compile(
    r"(?<![A-Za-z0-9])([A-Z][A-Za-z]+) ([A-Z][A-Za-z]{1,5}) ([A-Z][A-Za-z]{1,5})(?![A-Za-z0-9])"
)
# Lucas家长, Tommy低热: a given name before Chinese characters, unless a sign or a test is named after him.
_BEFORE_CHINESE = re.compile(
    r"(?<![A-Za-z0-9\-' ])([A-Z][a-z]{2,11})(?=[\u4e00-\u9fff])"
    r"(?![\u4e00-\u9fff]{0,3}[征病氏法瘤线评综试管孔区窝点体囊窦反菌]|等|指出|认为|报道)"
)


def latin_name_spans(folded: str, text: str, cues: Mapping[int, Cue]) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of names in Latin letters.

    Args:
      folded: fold(text). text: as written, because only capitals tell a name. cues: of the folded text.
    """
    yield from initial_spans(text)
    if not _CAPITALIZED.search(text):
        return
    starts = {cue.end(): True for cue in LATIN_LABEL.finditer(folded)}
    starts |= {at: cue.kind != "role" for at, cue in cues.items()}
    for start, labelled in sorted(starts.items()):
        found = _AFTER_CUE.match(text, start)
        if found and _is_name(folded, text, found, labelled):
            yield found.span()
    at = 0
    while found := _TWO_WORDS.search(text, at):
        named = _are_names(folded, found)
        at = found.end() if named else found.end(1)
        if named:
            yield found.span()
    for found in _THREE_WORDS.finditer(text):
        if found[1].lower() in _FAMILIES | _FAMILY and not {w.lower() for w in found.groups()} & _NO_NAMES:
            yield found.span()
    for found in _BEFORE_CHINESE.finditer(text):
        if found[1].lower() in _GIVEN - _NO_NAMES:
            yield found.span(1)
    for found in _WORDS.finditer(text):
        first, second = found[1].lower(), re.sub("[^a-z]", "", found[2].lower())
        if any(_is_pinyin(*pair) for pair in ((first, second), (second, first))):
            yield found.span()


def _are_names(folded: str, found: re.Match[str]) -> bool:
    """Two capitalized words: the first a given name, the last a family name, or somebody before them."""
    first, second = folded[found.start(1) : found.end(1)], folded[found.start(2) : found.end(2)]
    if first in _NO_NAMES or second in _NO_NAMES or second in LATIN_WORDS and first not in _GIVEN:
        return False
    if first in _GIVEN or second.split("-")[-1] in _FAMILY and len(first) > 2:
        return True
    if _AGE_BEHIND.match(folded, found.end()):
        return True
    return _PERSON_BEFORE.search(folded[max(0, found.start() - 16) : found.start()]) is not None


def _is_name(folded: str, text: str, found: re.Match[str], labelled: bool) -> bool:
    """After a role one word may also be `Apgar` or `CT`; after a label it hardly is."""
    parts = re.findall("[a-z]+", folded[found.start() : found.end()])
    if labelled and len(parts) == 1 and parts[0] in _FAMILIES:
        return True
    several = len(parts) > 1 or labelled
    if parts[0] in _NO_NAMES or parts[0] in LATIN_WORDS and not several:
        return False
    if several and sum(map(len, parts)) > 3 and (labelled or not found[0].isupper()):
        return True
    eponym = text[found.end() : found.end() + 1] in tuple("评征病氏综静")
    return len(parts[0]) > 3 and not found[0].isupper() and not eponym


def _is_pinyin(family: str, given: str) -> bool:
    long = len(given) > 3 or len(family) > 3
    return family in _FAMILIES and given not in LATIN_WORDS and long and bool(_PINYIN.fullmatch(given))
