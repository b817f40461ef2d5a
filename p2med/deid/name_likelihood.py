"""How much likelier a name is than words, where it might stand: the first judge, before name_score.

父亲|高血压 -> far below 0        术者|张伟， -> far above 0
"""

import re
from typing import NamedTuple

from p2med.deid.cues import PROFESSION, TITLE
from p2med.deid.folding import CHINESE
from p2med.deid.language import language

# 尊敬的方教授, 请王医生: after these a word begins.
SMALL_WORDS_BEFORE = frozenset("的和与请由跟是向给让找等及被叫对把将，")

# Log odds that a name begins here, by what stands before it.
AFTER_LABEL, AFTER_ROLE_AND_GAP, AFTER_ROLE = 0.0, -1.0, -3.0
_ALONE, _BEFORE_VERB, _BOUNDED, _ANYWHERE = -1.2, -4.0, -5.5, -9.0
# Family names that mostly are small words: 左肺, 余肋骨, 诸骨, 那宝宝.
_SMALL_WORDS = frozenset("班左余诸双但那有来后全空拟才从可能先经由管应")
_SMALL_WORD = -3.0
_BEFORE_TITLE, _BEFORE_PROFESSION = 4.0, 7.5
_BOUNDARY = -0.7
_BOUNDARY_IN_WORDS = -2.0
_LENGTH = {1: -1.4, 2: -0.3, 3: -7.0}
# 流调员李芳, 证明人李芳, 副麻李芳: any word for a person may stand before a name.
_PERSON = frozenset("员人者师工警士长生手麻主科室院处办")
_AFTER_PERSON, _BEFORE_STOP = 4.0, 2.5
_COMPOUND_IS_NO_WORD = 9.0
_FILLED_IN, _FULL_STOP = 4.0, 3.0
_VERB = 1.0
_NEXT_LABEL = re.compile(
    "电话|身份证|手机|住址|地址|联系|关系|性别|年龄|日期|时间|工号|职称|科室|病区|职业|单位|微信|床号|住院号"
)
# What often follows a name, as log probabilities; other characters as in any text.
_FOLLOWING = {c: -3.3 for c in "于因诉出来在男女今昨的"} | {
    c: -4.6
    for c in "交通参值持敬汇登自入近家父母已曾未无有为代及和与等以由经称说述现起发查陪签主医护老"
    "同至到前后上下等一之表"
    "接抱送带牵领可会能叫问副不也又仍反精神体咳目住接告知"
}
_CHINESE = re.compile(f"[{CHINESE}]")


class Cue(NamedTuple):
    """What announces a name (role, label, pet, and), the sign behind that, whether it is one character."""

    kind: str
    gap: str = ""
    short: bool = False


def _odds_of(cue: Cue) -> float:
    if cue.kind == "label":
        return AFTER_LABEL if cue.gap else AFTER_ROLE
    return AFTER_ROLE_AND_GAP if cue.gap or cue.kind in ("pet", "and") else AFTER_ROLE


def likelihood(folded: str, surname: str, given: str, stop: int, cue: Cue | None, compound: bool) -> float:
    """log P(a name, here) - log P(words); the name ends at `stop`."""
    start = stop - len(given) - len(surname)
    before = folded[start - 1] if start else ""
    score = _score(folded, "" if cue or before in SMALL_WORDS_BEFORE else before, surname, given, stop)
    score += _odds(folded, before, stop, cue) + (_COMPOUND_IS_NO_WORD if compound else 0)
    return score + (_SMALL_WORD if not cue and surname in _SMALL_WORDS else 0)


def _score(folded: str, before: str, surname: str, given: str, stop: int) -> float:
    """log P(as a name) - log P(as words), with the character that follows."""
    known = language()
    words = known.words(before if _CHINESE.match(before or " ") else "", surname + given)
    score = known.name(surname, given) + _LENGTH[len(given)] - words
    following = folded[stop : stop + 1]
    if following and _CHINESE.match(following) and not _NEXT_LABEL.match(folded, stop):
        after_name = max(_FOLLOWING.get(following, -99.0), known.char.get(following, -12.5))
        return score + after_name - known.after(given[-1], following)
    return score + _BOUNDARY - _BOUNDARY_IN_WORDS


def _odds(folded: str, before: str, stop: int, cue: Cue | None) -> float:
    """Log odds that a name stands here, by what is before and behind it."""
    next_ = folded[stop : stop + 1]
    follows = bool(_CHINESE.match(next_) or next_.isalpha()) and not _NEXT_LABEL.match(folded, stop)
    odds = _BEFORE_PROFESSION if PROFESSION.match(folded, stop) else 0.0
    if not odds and TITLE.match(folded, stop):
        odds = _BEFORE_TITLE
    if cue:
        filled_in = _FILLED_IN if cue.gap == ":" else _FULL_STOP
        if follows:
            return odds + _odds_of(cue) + (_VERB if folded[stop] in _FOLLOWING else 0.0)
        return odds + _odds_of(cue) + filled_in
    if not before or not (_CHINESE.match(before) or before.isalnum()):
        if not follows:
            return odds + _ALONE
        return odds + (_BEFORE_VERB if folded[stop] in _FOLLOWING else _BOUNDED)
    return odds + _ANYWHERE + (0 if follows else _BEFORE_STOP) + (_AFTER_PERSON if before in _PERSON else 0)
