"""What a Chinese radiology report sees, and where, by rule, without a model.

    右肺下叶见片状磨玻璃影，边缘模糊，双侧胸腔内未见异常密度影。  -> ("磨玻璃影:右", "磨玻璃影:右下")
    双侧胸腔内见弧形低密度影，纵隔内未见肿大淋巴结。               -> ("胸腔积液:左", "胸腔积液:右")
    双肺纹理增强，双肺内未见异常密度影。                          -> ("肺纹理增强:左", "肺纹理增强:右")

A finding counts once for each side and once more for each side and zone (上 中 下); both sides are two, so
that a report that names one of them is half right. What a report denies is no finding. Chinese only.
"""

import re
from dataclasses import dataclass

_CLAUSE = re.compile(r"[^。；;，,！!\n]+")
_SENTENCE_END = "。；;！!\n"

# First match wins where two overlap, so the precise pattern stands before the general one.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("心包积液", r"心包腔?内?(?:[^。；，]{0,4}积液|见[^。；，]{0,6}低密度影|见[^。；，]{0,6}液性)"),
    ("胸腔积液", r"(?:胸膜?腔|叶间裂)[^。；，]{0,9}?(?:积液|液性|水样)"),
    ("胸腔积液", r"(?:胸膜?腔|叶间裂)[^。；，]{0,9}?(?:弧形|带状|新月形)[^。；，]{0,4}(?:密度|致密)影"),
    ("胸腔积液", r"胸腔积液|胸水|液胸|肋膈角[^。；，]{0,4}(?:变钝|消失)"),
    ("气胸", r"气胸|胸腔[^。；，]{0,6}(?:气体密度|游离气体|无肺纹理)"),
    ("支气管充气征", r"支气管(?:充气征|气象|含气征)|(?:含气|充气|空气)支气管"),
    ("支气管扩张", r"支气管[^。；，]{0,6}(?:扩张|管径增宽|增宽)|轨道征"),
    ("支气管阻塞", r"支气管[^。；，]{0,6}(?:截断|狭窄|闭塞|阻塞)"),
    ("磨玻璃影", r"磨(?:玻璃|砂玻璃)"),
    ("实变", r"实变|(?:失去|丧失)含气"),
    ("空洞", r"空洞"),
    ("结节", r"结节"),
    ("肿块", r"肿块|团块|占位"),
    ("网格影", r"网格|网状|蜂窝"),
    ("条索影", r"条索|索条|纤维(?:条|灶)|条状致密|线状影"),
    ("囊状影", r"囊状|囊腔|肺大[疱泡]"),
    ("过度充气", r"过度充气|肺气肿|(?:透亮度|透过度|透光度)[^。；，]{0,3}(?:增[高强加]|升高)"),
    ("肺不张", r"不张|膨胀不全|肺[^。；，]{0,4}受压"),
    ("淋巴结肿大", r"肿大[^。；，]{0,3}淋巴结|淋巴结[^。；，]{0,4}(?:肿大|增大)"),
    ("胸膜增厚", r"胸膜[^。；，]{0,8}增厚"),
    ("钙化", r"钙化"),
    ("骨质破坏", r"骨质[^。；，]{0,3}破坏|骨折"),
    ("肺纹理增强", r"纹理[^。；，]{0,6}(?:增强|增[多粗重浓]|紊乱|模糊)"),
    ("肺门增大", r"肺门[^。；，]{0,4}(?:增大|增浓|增宽|浓密)"),
    ("心影增大", r"心(?:影|脏)[^。；，]{0,5}(?:增大|扩大)"),
    ("纵隔移位", r"(?:纵隔|心影|气管)[^。；，]{0,6}(?:[左右][侧]?移|移位|偏移)"),
    ("炎性改变", r"炎性(?:改变|病变|渗出|浸润)|肺炎征象|渗出"),
    ("斑片影", r"(?:片|絮状|斑点)[^。；，]{0,8}影|高密度影|密度增高"),
)  # fmt: skip
FINDINGS = tuple(dict.fromkeys(name for name, _ in _PATTERNS))
_COMPILED = tuple((name, re.compile(p)) for name, p in _PATTERNS)

_ZONES = r"(?:[上中下](?:肺?[叶野]|肺)?[尖前后背内外舌段基底]*[、及和与]?)+"
_SITE = re.compile(rf"([左右]|[双两](?=[侧肺上中下胸膈肋叶]))侧?(?:全)?肺?门?({_ZONES})?")
_NEGATED = re.compile(r"未见|未发现|未及|未显示|未查见|不伴|没有|无")
_AFFIRMED = re.compile(r"(?<!未)(?<!未查)见|伴有?|呈|可及")


@dataclass(frozen=True)
class Finding:
    """A finding that the text affirms; `sides` of 左 右 and `zones` of 上 中 下, if it names any."""

    name: str
    sides: tuple[str, ...]
    zones: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Statement:
    """What one clause says of one finding."""

    finding: Finding
    denied: bool
    clause: str


def extract_findings(text: str) -> tuple[str, ...]:
    """Affirmed findings as comparable words, sorted: `name:side` and `name:side+zone`, or only `name`."""
    words: set[str] = set()
    for f in read_findings(text):
        words.update(f"{f.name}:{side}" for side in f.sides)
        words.update(f"{f.name}:{side}{zone}" for side, zone in f.zones)
        if not f.sides:
            words.add(f.name)
    return tuple(sorted(words))


def read_findings(text: str) -> list[Finding]:
    """Affirmed findings in reading order."""
    return [s.finding for s in read_statements(text) if not s.denied]


def read_statements(text: str) -> list[Statement]:
    """Affirmed and denied findings in reading order.

    A clause that names no place is about the place named before it in the sentence.
    """
    found: list[Statement] = []
    last_sites: list[re.Match[str]] = []
    for clause in _CLAUSE.finditer(text):
        if clause.start() and text[clause.start() - 1] in _SENTENCE_END:
            last_sites = []
        words = clause.group()
        sites = list(_SITE.finditer(words))
        for name, start, end in _mentions(words):
            before = [s for s in sites if s.start() < start]
            finding = _placed(name, before or sites or last_sites)
            denied = _is_negated(words[:start]) or bool(_NEGATED.search(words, start, end))
            found.append(Statement(finding, denied, words))
        last_sites = sites or last_sites
    return found


def _mentions(clause: str) -> list[tuple[str, int, int]]:
    """Name, start and end of each finding named in a clause; a stretch of text is one finding only."""
    taken: list[tuple[int, int, str]] = []
    for name, pattern in _COMPILED:
        for m in pattern.finditer(clause):
            if all(m.end() <= start or m.start() >= end for start, end, _ in taken):
                taken.append((m.start(), m.end(), name))
    return [(name, start, end) for start, end, name in sorted(taken)]


def _is_negated(before: str) -> bool:
    """True when the last word of seeing before the finding is one of not seeing."""
    denials = [m.start() for m in _NEGATED.finditer(before)]
    sightings = [m.start() for m in _AFFIRMED.finditer(before)]
    return bool(denials) and (not sightings or denials[-1] > sightings[-1])


def _placed(name: str, sites: list[re.Match[str]]) -> Finding:
    sides: set[str] = set()
    zones: set[tuple[str, str]] = set()
    for site in sites:
        both = ("左", "右") if site[1] in "双两" else (site[1],)
        sides.update(both)
        zones.update((side, zone) for side in both for zone in (site[2] or "") if zone in "上中下")
    return Finding(name, tuple(sorted(sides)), tuple(sorted(zones)))
