"""Findings against impression, and a report against the images that it is filed with."""

import re
from dataclasses import dataclass
from functools import lru_cache

from p2med.clinical.certainty import clause_starts
from p2med.clinical.diagnoses import NORMAL, Mention, mentions
from p2med.clinical.findings import Statement, read_statements
from p2med.clinical.vocabulary import vocabulary
from p2med.curate.filters_subject import Subject
from p2med.schema.terms import RecordKind, Section

_OPACITIES = frozenset({"斑片影", "实变", "磨玻璃影", "炎性改变", "肺不张", "空洞", "结节", "网格影", "肿块"})
_SEEN_AS: dict[str, frozenset[str]] = {
    "肺炎": _OPACITIES,
    "肺实变": _OPACITIES,
    "肺结核": _OPACITIES,
    "肺脓肿": _OPACITIES,
    "肺不张": frozenset({"肺不张", "实变", "斑片影"}),
    "胸腔积液": frozenset({"胸腔积液"}),
    "气胸": frozenset({"气胸"}),
    "肺结节": frozenset({"结节"}),
    "肺部肿块": frozenset({"肿块"}),
    "支气管扩张": frozenset({"支气管扩张"}),
    "胸膜增厚": frozenset({"胸膜增厚"}),
    "肺大疱": frozenset({"囊状影"}),
}
"""How a diagnosis of the impression looks in the findings; a kind of it looks the same."""
_SAME_NAME = frozenset(
    {"胸腔积液", "气胸", "肺不张", "肺结节", "肺部肿块", "支气管扩张", "肺实变", "胸膜增厚"}
)
"""Diagnoses that findings name by the same words, so that a denial there is a denial of them."""
_NEVER_NORMAL = _OPACITIES | {"胸腔积液", "气胸", "心包积液"}
_UNSURE = re.compile(r"原|对比|比较|旧片|术后|可疑|待排|除外|可能")
_GONE = re.compile(r"(?:已|基本|完全|明显|大部)(?:吸收|消失|消散)|吸收期")
"""Findings that tell how something went away are not set against an impression that no longer has it."""
_SIDE = re.compile(r"([左右双两])(?=侧|肺|[上中下]|胸|膈|肋|叶|门|[前后]|野)")


@dataclass(frozen=True)
class _Named:
    """An affirmed or denied diagnosis of the impression with its sides; no sides: none is named."""

    label: str
    sides: frozenset[str]
    denied: bool


def side(subject: Subject) -> str | None:
    """Findings and impression place the same thing on opposite sides."""
    if (texts := _texts(subject)) is None:
        return None
    seen = [s for s in _statements(texts[0]) if not s.denied]
    for named in _impression(texts[1]):
        looks = _looks(named.label)
        where = {x for s in seen if s.finding.name in looks for x in s.finding.sides}
        if named.sides and where and not named.denied and not named.sides & where:
            return f"findings, impression: {named.label} on opposite sides"
    return None


def negation(subject: Subject) -> str | None:
    """One section denies what the other affirms; a normal impression over a lesion counts too."""
    if (texts := _texts(subject)) is None:
        return None
    statements, gone = _statements(texts[0]), _GONE.search(texts[0])
    impression = _impression(texts[1])
    for named in impression:
        if named.label not in _SAME_NAME:
            continue
        about = [s for s in statements if s.finding.name in _looks(named.label) & _own_name(named.label)]
        about = [s for s in about if _meets(named.sides, frozenset(s.finding.sides))]
        affirmed = [s for s in about if not s.denied and not _UNSURE.search(s.clause)]
        if named.denied and affirmed and not gone:
            return f"impression denies what findings affirm: {named.label}"
        if not named.denied and about and all(s.denied for s in about):
            return f"findings deny what impression affirms: {named.label}"
    if impression and all(x.label == NORMAL for x in impression) and not gone:
        for s in statements:
            if not s.denied and s.finding.name in _NEVER_NORMAL and not _UNSURE.search(s.clause):
                return f"impression is normal, findings are not: {s.finding.name}"
    return None


def pairing(subject: Subject) -> str | None:
    """The report speaks of another kind of examination, of another region, or is older than its images."""
    if subject.kind is not RecordKind.RADIOLOGY_REPORT or subject.modality is None:
        return None
    if subject.authored_on and subject.study_date:
        days = (subject.authored_on - subject.study_date).days
        if days < -1 or days > 31:
            return "report and images are of different dates"
    own = "".join(c for c in _clauses(subject) if not _COMPARED.search(c))
    if subject.modality != "CT" and _CT_WORDS.search(own):
        return "a CT report on an X-ray study"
    if subject.modality == "CT" and _FILM_WORDS.search(own) and not _CT_WORDS.search(own):
        return "an X-ray report on a CT study"
    whole = "".join(subject.sections.values())
    if _OTHER_REGION.search(whole) and not _CHEST.search(whole):
        return "a report on another region"
    return None


_COMPARED = re.compile(
    r"比较|对比|对照|旧片|前片|原片|建议|结合|复查|进一步|必要时|与.{0,12}片|既往|曾|外院|于.{0,14}行|\d[年/.-]\d"
)
_CT_WORDS = re.compile(r"(?<![A-Za-z])CT(?:平扫|增强|扫描|检查|值|示|图像)|肺窗|纵隔窗|螺旋扫描|HU")
_FILM_WORDS = re.compile(r"[正侧]位片|胸片|平片|摄片|DR片|床旁片|(?<![A-Za-z])DR(?![A-Za-z])")
_CHEST = re.compile(r"肺|胸|心|膈|气管|纵隔|肋|chest|lung|cardi|thora", re.IGNORECASE)
_OTHER_REGION = re.compile(
    r"颅脑|脑实质|脑室|鼻窦|上颌窦|膝|髋|踝|腕|肘|股骨|胫骨|桡骨|尺骨|骨盆|腰椎|颈椎|肾|肝|胆囊|膀胱|肠管"
)


def _texts(subject: Subject) -> tuple[str, str] | None:
    """Findings and impression of a radiology report."""
    if subject.kind is not RecordKind.RADIOLOGY_REPORT:
        return None
    return subject.sections.get(Section.FINDINGS, ""), subject.sections.get(Section.IMPRESSION, "")


def _clauses(subject: Subject) -> list[str]:
    return [c for text in subject.sections.values() for c in re.findall(r"[^。；;，,\n]+", text)]


@lru_cache(maxsize=4)
def _statements(text: str) -> tuple[Statement, ...]:
    """Read once for the two filters that need it."""
    return tuple(read_statements(text))


@lru_cache(maxsize=4)
def _impression(text: str) -> tuple[_Named, ...]:
    starts = clause_starts(text)
    found = []
    for m in mentions(text):
        if m.status in ("affirmed", "negated"):
            clause = max((s for s in starts if s <= m.start), default=0)
            found.append(_Named(m.label, _sides(text[clause : m.end], m), m.status == "negated"))
    return tuple(found)


def _sides(words: str, mention: Mention) -> frozenset[str]:
    """The sides named in a clause up to the end of the mention; none for what has no side."""
    if mention.label == NORMAL:
        return frozenset()
    return frozenset(x for m in _SIDE.finditer(words) for x in ("左右" if m[1] in "双两" else m[1]))


def _looks(label: str) -> frozenset[str]:
    """The findings of a label or of what it is a kind of."""
    broader = vocabulary().broader
    while label not in _SEEN_AS and label in broader:
        label = broader[label]
    return _SEEN_AS.get(label, frozenset())


def _own_name(label: str) -> frozenset[str]:
    return frozenset({label, label.removeprefix("肺"), label.removeprefix("肺部")})


def _meets(one: frozenset[str], other: frozenset[str]) -> bool:
    """True unless both name a side and have none in common."""
    return not one or not other or bool(one & other)
