"""Layer 1: what is known of the patient, found again however it is written.

宋诗梓 -> 宋 诗 梓, 诗梓, 梓梓, 小梓, Song Shizi, SHIZI SONG, Song S.Z.      13871896132 -> 138-7189-6132
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from pypinyin import Style, pinyin

from p2med.deid.cues import BEFORE_NAME
from p2med.deid.folding import CHINESE, fold, letters_and_digits, without_gaps
from p2med.deid.keep import CLINICAL_WORDS, LATIN_WORDS
from p2med.deid.language import language
from p2med.deid.surnames import COMPOUND_SURNAMES, ELSEWHERE

_CHINESE_TEXT = re.compile(f"[{CHINESE}]+")
_LATIN_RUN = re.compile(r"[a-z]+(?:[\s\-_,.'’^·]{1,3}[a-z]+)*")
_LATIN_WORD = re.compile("[a-z]+")
# Two capitals alone are too often something else.
_OF_HIM = re.compile(r"的|患|同学|小朋友|之[子女]|妈妈|爸爸|家长")
# 受试者编号001-LS
_IN_A_STUDY = re.compile(r"受试|筛选号|随机|入组|编号(?!\])|缩写|中心编")
_SHORTEST_LATIN = 4
_MOST_WORDS = 4
_SHORTEST_NUMBER, _SHORTEST_ANYWHERE = 4, 6
_WORD = "given name that is also a word"
"""小红, 晨光: counts beside a cue alone, before it or, kin, after it."""
_KIN = re.compile("[的之]?(?:爸|妈|父|母|爷|奶|外公|外婆|姥|家长|家属|哥|姐|弟|妹|叔|姑|姨|舅)")
# A given name whose characters follow each other so often in texts is a word.
_A_WORD = -4.0
_TRADITIONAL = str.maketrans(
    "張陳劉楊黃趙吳孫馬羅謝韓馮蕭鄧許蘇盧蔣賈閻葉餘鐘範譚鄒陸萬錢湯喬賀賴龔鄭呂顏龍韋歐魯關紀項衛費單寧軒澤傑瑋瑤嬌靜麗華國強偉軍鵬飛鳳蘭愛雲"
    "慶榮貴豐興勝達遠遙詩語嫻婭嵐曉東陽穎潔瓊瑩賢義禮誠謙聰寶樂歡夢銘鈞鋒銳煒燁燦煥奧彥",
    "张陈刘杨黄赵吴孙马罗谢韩冯萧邓许苏卢蒋贾阎叶余钟范谭邹陆万钱汤乔贺赖龚郑吕颜龙韦欧鲁关纪项卫费单宁轩泽杰玮瑶娇静丽华国强伟军鹏飞凤兰爱云"
    "庆荣贵丰兴胜达远遥诗语娴娅岚晓东阳颖洁琼莹贤义礼诚谦聪宝乐欢梦铭钧锋锐炜烨灿焕奥彦",
)
_ADDRESS_PARTS = re.compile(
    r"省|自治区|自治州|地区|市|区|县|旗|镇|乡|街道|村|社区|路|街|大道|巷|小区|号楼|栋|幢|单元|号"
)
_TOO_COMMON = re.compile(r"[\d一二三四五六七八九十]+(?:号楼|栋|幢|单元|号|室|楼|组|队|层)?")


@dataclass(frozen=True)
class Known:
    """What is known of a patient, ready to be searched.

    `chinese`: (kind, text) in Chinese characters without gaps. `numbers`: letters and digits alone.
    `latin`: spellings in Latin letters, words joined. `initials`: of the names, in capitals in the text.
    """

    chinese: tuple[tuple[str, str], ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()
    latin: frozenset[str] = frozenset()
    initials: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        names: Sequence[str] = (),
        ids: Sequence[str] = (),
        phones: Sequence[str] = (),
        addresses: Sequence[str] = (),
    ) -> "Known":
        """Collect the values, their parts and spellings; what cannot be told from a word is left out."""
        chinese: dict[str, str] = {}
        numbers: dict[str, str] = {}
        latin: set[str] = set()
        initials: set[str] = set()
        for address in addresses:
            for part in _parts_of_address(_plain(address)):
                chinese.setdefault(part, "address")
        for name in names:
            written, spelled, short = _spellings(name)
            chinese.update((x, "name") for x in written)
            given = _split(_plain(name))[1]
            if len(given) == 2:
                chinese.setdefault(given, _WORD)
            latin.update(spelled)
            initials.update(short)
        for kind, values in (("number", ids), ("phone", phones)):
            for value in values:
                if _CHINESE_TEXT.search(value):
                    chinese.setdefault(_plain(value), kind)
                squeezed = letters_and_digits(fold(value)).text
                if kind == "phone" and len(squeezed) == 13 and squeezed.startswith("86"):
                    squeezed = squeezed[2:]
                if len(squeezed) >= _SHORTEST_NUMBER:
                    numbers.setdefault(squeezed, kind)
        return cls(_longest_first(chinese), _longest_first(numbers), frozenset(latin), frozenset(initials))

    def with_names(self, names: Iterable[str]) -> "Known":
        """And these full names as they are written, without their given names and spellings."""
        chinese = {_plain(name): "name" for name in names} | {value: kind for kind, value in self.chinese}
        return replace(self, chinese=_longest_first(chinese))


def known_spans(folded: str, text: str, known: Known) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each known value, in any width, case and spacing.

    Args:
      folded: fold(text). text: as written, for capitals.
    """
    if known.chinese:
        view = without_gaps(folded)
        simple = view.text.translate(_TRADITIONAL)
        for kind, value in known.chinese:
            at = simple.find(value)
            while at >= 0:
                start, end = view.span(at, at + len(value))
                if kind == _WORD:
                    if _after_cue(folded, start) or _KIN.match(folded, end):
                        yield start, end, "name"
                elif value not in CLINICAL_WORDS or _after_cue(folded, start):
                    yield start, end, kind
                at = simple.find(value, at + 1)
    if known.numbers:
        yield from _number_spans(folded, known)
    if known.latin or known.initials:
        yield from _latin_spans(folded, text, known)


def _number_spans(folded: str, known: Known) -> Iterator[tuple[int, int, str]]:
    view = letters_and_digits(folded)
    for kind, value in known.numbers:
        at = view.text.find(value)
        while at >= 0:
            stop = at + len(value)
            start, end = view.span(at, stop)
            close = len(value) >= _SHORTEST_ANYWHERE or end - start == len(value)
            before, after = view.text[at - 1 : at] if at else "", view.text[stop : stop + 1]
            inside = before.isdigit() and value[0].isdigit() or after.isdigit() and value[-1].isdigit()
            if inside and len(value) < 8:
                inside = folded[start - 1 : start].isalnum() or folded[end : end + 1].isalnum()
            if close and not (inside and len(value) < 8):
                yield start, end, kind
            at = view.text.find(value, at + 1)


def _latin_spans(folded: str, text: str, known: Known) -> Iterator[tuple[int, int, str]]:
    for run in _LATIN_RUN.finditer(folded):
        words = [(m.start(), m.end()) for m in _LATIN_WORD.finditer(folded, *run.span())]
        for first in range(len(words)):
            joined = ""
            for start, end in words[first : first + _MOST_WORDS]:
                joined += folded[start:end]
                begin = words[first][0]
                if joined in known.latin and (len(joined) > 4 or text[begin].isupper()):
                    yield begin, end, "name"
                elif joined in known.initials and text[begin:end].upper() == text[begin:end]:
                    dotted = "." in text[begin:end]
                    if (
                        dotted
                        or (
                            len(joined) > 2
                            or _OF_HIM.match(text, end)
                            or text[begin - 1 : begin] in tuple("(（")
                            and text[end : end + 1] in tuple(")）")
                            or _after_cue(folded, begin)
                            or _IN_A_STUDY.search(text[max(0, begin - 24) : begin])
                        )
                        and joined not in LATIN_WORDS
                        and end - begin == len(joined)
                    ):
                        yield begin, end + (text[end : end + 1] == "." and dotted), "name"


def _after_cue(folded: str, start: int) -> bool:
    return any(cue.end() == start for cue in BEFORE_NAME.finditer(folded, max(0, start - 12), start))


def _plain(value: str) -> str:
    return without_gaps(fold(value)).text.translate(_TRADITIONAL)


def _longest_first(found: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((kind, value) for value, kind in sorted(found.items(), key=lambda x: (-len(x[0]), x[0])))


def _parts_of_address(address: str) -> Iterator[str]:
    """The whole, what remains without its first parts, and each part that is a name of its own."""
    starts = [0, *(m.end() for m in _ADDRESS_PARTS.finditer(address) if m.end() < len(address))]
    for start in starts:
        rest = address[start:]
        if (
            len(rest) >= 4
            and len("".join(_CHINESE_TEXT.findall(rest))) > 1
            and not _TOO_COMMON.fullmatch(rest)
        ):
            yield rest
    for start, end in zip(starts, [*starts[1:], len(address)], strict=True):
        part = address[start:end]
        if (
            len(part) >= 4
            and len("".join(_CHINESE_TEXT.findall(part))) > 1
            and not _TOO_COMMON.fullmatch(part)
        ):
            yield part


@lru_cache(maxsize=65536)
def _spellings(name: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Chinese forms, spellings in Latin letters (words joined), initials."""
    written: list[str] = []
    spelled: list[str] = []
    short: list[str] = []
    folded = fold(name)
    chinese = "".join(_CHINESE_TEXT.findall(folded)).translate(_TRADITIONAL)
    if len(chinese) >= 2:
        written += _written(chinese, [p.translate(_TRADITIONAL) for p in _CHINESE_TEXT.findall(folded)])
        more, short = _pinyin(chinese)
        spelled += more
    words = _LATIN_WORD.findall(folded)
    if words and sum(map(len, words)) >= _SHORTEST_LATIN:
        turned = words[1:] + words[:1]
        spelled += ["".join(words), "".join(turned), "".join(words[-1:] + words[:-1])]
        if len(words) == 2:
            spelled += [a + b[0] for a, b in (words, turned)] + [a[0] + b for a, b in (words, turned)]
        spelled += [w for w in words if len(w) > 4]
    return (
        tuple(written),
        tuple(s for s in spelled if len(s) >= _SHORTEST_LATIN and s not in LATIN_WORDS),
        tuple(short),
    )


def _written(name: str, parts: list[str]) -> Iterator[str]:
    yield name
    if len(parts) > 1:
        yield from (p for p in parts if len(p) > 2)
        return
    surname, given = _split(name)
    if len(given) == 2 and not _is_word(given):
        yield given
    for c in given:
        for pet in (c + c, "小" + c, "阿" + c, c + "宝"):
            if pet not in CLINICAL_WORDS and (pet == c + c or not _is_word(pet)):
                yield pet
    if len(given) == 2:
        yield from (given + "宝", "小" + given)


def _split(name: str) -> tuple[str, str]:
    long = len(name) > 2 and name.startswith(COMPOUND_SURNAMES)
    at = next(len(s) for s in COMPOUND_SURNAMES if name.startswith(s)) if long else 1
    return name[:at], name[at:]


def _is_word(pair: str) -> bool:
    return language().pair.get(pair, -99.0) > _A_WORD or pair in CLINICAL_WORDS


def _pinyin(name: str) -> tuple[list[str], list[str]]:
    """Spellings in both orders, with the given name whole or as initials; the initials alone."""
    surname, given = _split(name)
    families = {*_readings(surname), *ELSEWHERE.get(surname, ())}
    found: list[str] = []
    whole = _readings(given) if len(given) <= 3 else ()
    letters = [r[0] for c in given for r in _readings(c)[:1]]
    for family, rest in product(sorted(families), whole):
        found += [family + rest, rest + family, family[0] + rest, rest + family[0]]
    for family in sorted(families):
        found += [family + "".join(letters), "".join(letters) + family]
    if len(given) == 2:
        found += [w for w in whole if len(w) > 4]
    firsts = {f[0] for f in families} | {"".join(r[0] for c in surname for r in _readings(c)[:1])}
    return found, [f + "".join(letters) for f in sorted(firsts)] + [
        "".join(letters) + f for f in sorted(firsts)
    ]


@lru_cache(maxsize=16384)
def _readings(characters: str) -> tuple[str, ...]:
    """At most eight readings, ü as v, u and yu."""
    each = pinyin(characters, style=Style.NORMAL, heteronym=True, errors="ignore")
    found: list[str] = []
    for reading in product(*(options[:2] for options in each)):
        joined = "".join(reading).replace("ü", "v")
        found += [joined, joined.replace("v", "u"), joined.replace("v", "yu")] if "v" in joined else [joined]
    return tuple(dict.fromkeys(f for f in found if f))[:8]
