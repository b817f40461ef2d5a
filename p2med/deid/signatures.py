"""Who signs, answers or is called: after such a word a whole token is a name, of whatever family.

记录 寸金 2019/03 -> 寸金        技师:铁英　护士:燕妮 -> both        葛优优记。 -> 葛优优
护士交班。 -> nothing
"""

import re
from collections.abc import Iterator

from p2med.deid.cues import PROFESSION, any_of
from p2med.deid.folding import CHINESE
from p2med.deid.keep import CLINICAL_WORDS, DRUGS, term_length
from p2med.deid.language import language
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES
from p2med.deid.words import words

_SIGNING, _SIGNER = any_of(words("signing")), any_of(words("signer"))
_WORD_LISTS = ("no_signer", "role", "title", "signing", "signer", "no_name")
_NO_SIGNER = frozenset(w for kind in _WORD_LISTS for w in words(kind))
_NO_END = frozenset(words("no_name_end"))
_NO_START = frozenset(words("no_name_start"))
_HAN = f"[{CHINESE}]"
_TOKEN = rf"{_HAN}{{2,4}}(?:[·•・]{_HAN}{{1,5}})?"
_STOP = rf"(?!{_HAN}|[·•・])"
# 记录 寸金, 技师:铁英, 主管医生是犹太华; a blank, a colon, a bracket, `是`.
_AFTER = re.compile(
    rf"(?:(?P<person>{_SIGNER})|{_SIGNING})(?:人员|医[师生]|护士|[员人者师科室处])?(?:\s?\*)?"
    rf"(?P<gap>是|为|系|[ \t\u3000:=(/\[【\-—|]{{0,4}})(?P<value>{_TOKEN})(?P<after>{_STOP})"
)
_ACT = "[班接诊听收触报送检对验查种待血药签警受着打][^,]?|[给予到于在过好完][^,]"
# 交：牟伟 接：呼延雪, 代 and 核: characters that sign only where a clause begins.
_SHORT = re.compile(
    rf"(?:^|(?<=[\n\s。;,|/)]))(?:(?:[交接核签代记送查量陪]|[白夜]班|[大小]夜)(?P<gap>\s?:\s{{0,2}})|(?:[交接](?!{_ACT})|[白夜]班|[大小]夜)\s?)"
    rf"(?P<value>{_TOKEN}){_STOP}",
    re.MULTILINE,
)
# 燕归来/寸心, 瑞雪→丰年, 严肃、庄重: as long as whole tokens follow.
_NEXT = re.compile(rf"\s?[/、→,&＆和及—]\s?(?P<value>{_TOKEN}){_STOP}")
# 郝运来记。 白羽代签。
_BEFORE = re.compile(
    rf"(?:^|(?<=[\n\s。;,、!?—”\")]))(?P<value>{_HAN}{{2,4}})(?=(?:记录?|补记|代签|签字?|签名|汇报|口述|整理|审签?|交班|接班|书写|供稿)\s?(?:$|[\n。,;)]))",
    re.MULTILINE,
)
# ——宝珠; a name alone at the end of a note, or before its date.
_LAST = re.compile(
    rf"(?:\n\s{{0,40}}|[。!?;]\s{{0,4}}|\s{{2,40}}|(?:——|--|—)\s?)(?P<value>{_HAN}{{2,3}})"
    rf"(?=\s{{0,3}}(?:\d[\d./\-:年月日 ]{{2,20}})?\s*$)"
)
# 刁慎之教授, 呷绒拥珍副主任医师: whatever is no word of rank or of a ward.
_TITLED = re.compile(
    rf"(?:^|(?<=[\n\s。;,、:(/|—“\"请由向予经与和]))(?P<value>{_HAN}{{2,4}})(?=(?:{PROFESSION.pattern})(?![助长]))"
)


_TRANSLITERATED = frozenset(words("transliteration"))
# A line's end or a day follows a signature.
_ENDS = re.compile(r"\s*(?:$|\n|\d)")
# 医生:… 患者:… is a talk, where a colon says who speaks.
_SPEAKERS = ("医生:", "护士:", "患者:", "家长:", "妈妈:", "爸爸:", "答:", "问:")


def signature_spans(folded: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each name that its place in the text gives away."""
    talk = max(map(folded.count, _SPEAKERS)) > 1
    for found in _AFTER.finditer(folded):
        start, end = found.span("value")
        gap = found["gap"].strip()
        if talk and gap == ":" and found["person"]:
            continue
        if found["gap"] in ("是", "为", "系", "(") and not found["person"]:
            continue  # 送检为脂肪
        if not (found["gap"] or found["person"] or _has_family(folded, start, end)):
            continue  # 记录完整
        sure = bool(gap) or bool(found["gap"]) and _ENDS.match(folded, end) is not None
        if _may_sign(folded, start, end, sure):
            yield start, end
            yield from _more(folded, end, sure)
    for found in _SHORT.finditer(folded):
        start, end = found.span("value")
        if _may_sign(folded, start, end, sure=bool(found["gap"])):
            yield start, end
            yield from _more(folded, end, sure=False)
    for pattern in (_BEFORE, _TITLED, _LAST):
        for found in pattern.finditer(folded):
            start, end = found.span("value")
            if _has_family(folded, start, end) and _may_sign(folded, start, end, sure=False):
                yield start, end


def _has_family(folded: str, start: int, end: int) -> bool:
    """A family name of the list first, or a name such as 俄木拉古."""
    if folded[start] in SURNAMES or folded.startswith(COMPOUND_SURNAMES, start):
        return True
    return all(c in _TRANSLITERATED for c in folded[start:end])


def _more(folded: str, at: int, sure: bool) -> Iterator[tuple[int, int]]:
    while (found := _NEXT.match(folded, at)) and _may_sign(folded, *found.span("value"), sure):
        yield found.span("value")
        at = found.end()


def _may_sign(folded: str, start: int, end: int, sure: bool) -> bool:
    """No word of what signers do, no role, no term; `sure`: a colon says that a name follows."""
    value = folded[start:end]
    if value in _NO_SIGNER or {value, value[:2]} & CLINICAL_WORDS or value in DRUGS:
        return False
    if value[:2] in _NO_SIGNER or value[-2:] in _NO_SIGNER or value[-1] in _NO_END or value[0] in _NO_START:
        return False
    if term_length(folded, start):
        return False
    if len(value) == 4 and not (value.startswith(COMPOUND_SURNAMES) or _TRANSLITERATED.issuperset(value)):
        return False
    return sure or not _is_talk(value)


def _is_talk(value: str) -> bool:
    """Words that follow each other in texts: 协助, 巡视."""
    pairs = [value[n : n + 2] for n in range(len(value) - 1)]
    return all(language().pair.get(pair, -99.0) > -4.0 for pair in pairs)
