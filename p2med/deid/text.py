"""Free text without identity: known values of the patient, formats, cues; then a second look.

    患儿宋诗梓，家长宋晓东诉，电话13871896132 -> 患儿[姓名]，家长[姓名]诉，电话[电话]

Layers in the order of SAFETY 1.7; all run, their spans are joined. A text in which a known value is left
after that does not pass.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from p2med.deid.dates import date_spans
from p2med.errors import PhiError

SURROGATE = {
    "name": "[姓名]",
    "phone": "[电话]",
    "address": "[住址]",
    "id": "[编号]",
    "id_number": "[证件号]",
    "contact": "[联系方式]",
    "place": "[机构]",
}
SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
# Names inside terms of medicine, and words that a given name may equal.
KEEP = (
    "川崎病 克氏征 布氏征 巴氏征 唐氏 霍奇金 何杰金 马凡 雷诺 吉兰 沃纳 帕金森 阿氏 高热 高烧 金黄色 "
    "白血病 白细胞 康复 常规 方案 石膏 江苏 文献 易咳 任何 史无 万古霉素 雷诺考特 马来酸 余无 余未 安静 平稳"
).split()
_GENERIC_PLACE = re.compile(
    r"^(?:我|本|外|该|当地|上级|社区|基层|某|儿童?|专科|综合|私立|附近的?|其他|多家)?(?:医院|诊所|小学|中学|幼儿园)$"
)

_CN = r"\u4e00-\u9fff"
_FORMATS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("id_number", re.compile(r"(?<![\dXx])(?:\d[ \-]?){17}[\dXx](?![\dXx])")),
    ("id_number", re.compile(r"(?<!\d)[1-6]\d{5}\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}(?!\d)")),
    ("phone", re.compile(r"(?<!\d)(?:\+?86[ \-]?)?1[3-9]\d[ \-]?\d{4}[ \-]?\d{4}(?!\d)")),
    ("phone", re.compile(r"(?<!\d)0\d{2,3}[ \-]\d{7,8}(?!\d)")),
    ("contact", re.compile(r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}")),
    ("contact", re.compile(r"(?:微信号?|QQ号?|wx)\s*[::]?\s*[A-Za-z0-9_\-]{5,20}", re.IGNORECASE)),
    (
        "id",
        re.compile(
            r"(?:病案号|住院号|门诊号|就诊号|检查号|影像号|登记号|病历号|床号|医保卡?号|身份证号?|ID|MRN)"
            r"\s*[::]?\s*([A-Za-z0-9\-]{3,20})"
        ),
    ),
    ("address", re.compile(r"(?:家住|住址|地址|现居|现住|户籍|籍贯)\s*[::]?\s*([^，。；;、\n]{4,40})")),
    (
        "name",
        re.compile(
            r"(?:姓名|签名|签字|记录者|记录人|报告医[师生]|审核医[师生]|医[师生]|主任医师|主治医师|主治|主任|联系人|家属|监护人|"
            rf"父亲|母亲|书写者)\s*[::]\s*([{SURNAMES}][{_CN}]{{1,2}})(?![{_CN}])"
        ),
    ),
    (
        "name",
        re.compile(
            rf"(?<![{_CN}])([{SURNAMES}][{_CN}]{{1,2}})(?=(?:副?主任|主治|住院)?(?:医师|医生|护士|教授)(?:查房|会诊|签))"
        ),
    ),
)
_PLACE = re.compile(rf"[{_CN}]{{2,16}}(?:医院|保健院|卫生院|诊所|幼儿园|小学|中学)")
_PLACE_CUE = re.compile(
    r"(?:曾|已|并|后|前|遂|患儿|家长|孩子|平日|平时|就读|就诊|入读|上学|转诊|转入|送|经|由|从|赴|往|在|于|至|到|去|来|读)+"
)


@dataclass(frozen=True)
class Replaced:
    """A piece of the original text, [start, end), and what kind of thing it was."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Scrubbed:
    text: str
    replaced: tuple[Replaced, ...]


@dataclass(frozen=True)
class Known:
    """What is known of a patient, ready to be searched: folded values by kind."""

    values: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        names: Sequence[str] = (),
        ids: Sequence[str] = (),
        phones: Sequence[str] = (),
        addresses: Sequence[str] = (),
    ) -> "Known":
        """Collect the values and their parts; what is too short to be told from a word is left out."""
        found: dict[str, str] = {}
        for kind, values in (("address", addresses), ("name", names), ("id", ids), ("phone", phones)):
            for value in values:
                for part in _parts(kind, fold(value)):
                    found.setdefault(part, kind)
        ordered = sorted(found.items(), key=lambda x: (-len(x[0]), x[0]))
        return cls(values=tuple((kind, value) for value, kind in ordered))


def fold(text: str) -> str:
    """Full width and case folded, one character for one character, so that offsets stay."""
    return "".join(_fold_character(c) for c in text)


def _fold_character(c: str) -> str:
    folded = unicodedata.normalize("NFKC", c).casefold()
    return folded if len(folded) == 1 else c


def _parts(kind: str, value: str) -> Iterator[str]:
    squeezed = "".join(value.split())
    chinese = bool(re.search(f"[{_CN}]", squeezed))
    if kind == "name":
        squeezed = squeezed.replace("^", "").replace("·", "")
        if (chinese and len(squeezed) >= 2 or len(squeezed) >= 5) and squeezed not in KEEP:
            yield squeezed
        if chinese and len(squeezed) == 3 and squeezed[1:] not in KEEP:
            yield squeezed[1:]
    elif kind == "address":
        if len(squeezed) >= 4:
            yield squeezed
        tail = re.split(r"[省市区县镇]", squeezed)[-1]
        if tail != squeezed and len(tail) >= 4 and re.search(r"\d", tail):
            yield tail
    elif len(squeezed) >= 4:
        yield squeezed


def scrub(text: str, known: Known, offset_days: int, note: date | None = None) -> Scrubbed:
    """Replace identity by surrogates and shift dates.

    Args:
      offset_days: the patient's date shift; `note`: the text's own (true) date, for dates without a year.

    Raises:
      PhiError: `known_value_left`, when a known value of the patient is still there.
    """
    folded = fold(text)
    spans: list[tuple[int, int, str, str]] = []
    spans += [(s, e, k, SURROGATE[k]) for s, e, k in _known_spans(folded, known)]
    spans += [(s, e, k, SURROGATE[k]) for s, e, k in _format_spans(folded)]
    spans += [(s, e, "place", SURROGATE["place"]) for s, e in _place_spans(folded)]
    spans += [(s, e, "date", moved) for s, e, moved in date_spans(folded, offset_days, note)]
    kept = _without_overlaps(spans)
    pieces, at = [], 0
    for start, end, _, surrogate in kept:
        pieces += [text[at:start], surrogate]
        at = end
    result = "".join([*pieces, text[at:]])
    if left(result, known):
        raise PhiError("known_value_left", "a known value of the patient is still in the text")
    return Scrubbed(result, tuple(Replaced(s, e, k) for s, e, k, _ in kept))


def left(text: str, known: Known) -> bool:
    """True when a known value is in the text, whatever its width, case or inner white space."""
    folded = fold(text)
    return any(True for _ in _known_spans(folded, known))


def _known_spans(folded: str, known: Known) -> Iterator[tuple[int, int, str]]:
    squeezed = "".join(folded.split())
    for kind, value in known.values:
        if value not in squeezed and value[:2] not in squeezed:
            continue
        pattern = r"[\s·^]*".join(map(re.escape, value))
        if value.isascii():
            pattern = rf"(?<![a-z0-9]){pattern}(?![a-z0-9])"
        for found in re.finditer(pattern, folded):
            if not _inside_kept_word(folded, *found.span()):
                yield *found.span(), kind


def _inside_kept_word(folded: str, start: int, end: int) -> bool:
    around = folded[max(0, start - 3) : end + 3]
    return end - start <= 2 and any(k in around and folded[start:end] in k for k in KEEP)


def _format_spans(folded: str) -> Iterator[tuple[int, int, str]]:
    for kind, pattern in _FORMATS:
        for found in pattern.finditer(folded):
            start, end = found.span(1) if pattern.groups else found.span()
            if folded[start:end] not in KEEP:
                yield start, end, kind


def _place_spans(folded: str) -> Iterator[tuple[int, int]]:
    """Named hospitals and schools; `当地医院` and its like are no names."""
    for found in _PLACE.finditer(folded):
        start, end = found.span()
        cues = list(_PLACE_CUE.finditer(folded, start, end - 2))
        if cues:
            start = cues[-1].end()
        name = folded[start:end]
        if len(name) > 2 and not _GENERIC_PLACE.match(name):
            yield start, end


def _without_overlaps(spans: list[tuple[int, int, str, str]]) -> list[tuple[int, int, str, str]]:
    """Earlier first, longer first; a span that begins inside another lengthens it, unless it is a date."""
    kept: list[tuple[int, int, str, str]] = []
    for span in sorted(spans, key=lambda s: (s[0], -s[1], s[2])):
        if kept and span[0] < kept[-1][1]:
            start, end, kind, surrogate = kept[-1]
            if span[1] > end and span[2] != "date":
                kind, surrogate = (span[2], span[3]) if kind == "date" else (kind, surrogate)
                kept[-1] = (start, span[1], kind, surrogate)
            continue
        kept.append(span)
    return kept
