"""Chinese bytes in DICOM headers: what a value says, whatever the file claims about its character set.

    declared             bytes of 张三         read as      why
    GB18030              D5C5 C8FD             gb18030      declared
    ISO_IR 100           D5C5 C8FD             gb18030      declared_wrong: 2 common hanzi, or 4 odd letters
    \\GB18030             D5C5 C8FD             gb18030      not_as_second_value
    \\ISO 2022 IR 58      ESC$)A D5C5 C8FD      iso_2022_58  declared (pydicom leaves the escape: SAFETY, F7)
    GB18030, ISO_IR 100  E5BCA0 E4B889         utf-8        declared_wrong
    ISO_IR 192           C395 C385 C388 C3BD   twice        encoded twice: GBK taken for Latin-1, then UTF-8

Every reading of a value costs bits (plausible.py): few for what is common in a Chinese hospital, many for
what no one writes. The cheapest reading wins if it wins clearly; otherwise the value is not read at all.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from p2med.imaging.identity import CHINESE
from p2med.imaging.plausible import bits, hanzi
from p2med.imaging.readings import LATIN, Reading, readings_of

TEXT_VRS = {"PN", "SH", "LO", "ST", "LT", "UC", "UT", "CS", "AS", "AE"}
"""CS, AS and AE are ASCII by the standard; Chinese consoles write 胸部 and 男 there all the same."""
CLEAR_BITS = 3.0
POOLED_BITS = 6.0
_WORD = re.compile(r"[^\W\d_]+")
_LOST = ("\ufffd", "锟斤拷", "烫烫烫")


@dataclass(frozen=True)
class Finding:
    """What was done to the values of one file that were not read as declared. Holds no value."""

    keyword: str
    declared: str
    read_as: str
    """A codec, or "" when the value could not be read."""
    why: str
    margin_bits: float
    """How much dearer the second-best reading is."""


# ---------------------------------------------------------------- a data set


def repair(dataset: Dataset) -> list[Finding]:
    """Put every text element of a data set, at any depth, into readable text, in place.

    Values that cannot be read become empty and give a Finding without `read_as`. Elements whose bytes are all
    ASCII are not touched. Call it before any text element is read: pydicom's own decoding loses bytes.
    """
    found: list[Finding] = []
    values = [(text, readings_of(text.content, text.declared)) for text in _texts(dataset, ())]
    clear = Counter(r[0].codec for t, r in values if _margin(r) >= CLEAR_BITS and not _two_names(t, r))
    usual = clear.most_common(1)[0][0] if clear else ""
    for text, readings in values:
        believed = readings
        if _two_names(text, readings):
            believed = tuple(r for r in readings if r.codec == usual and r.codec not in LATIN)
        best, why = _judge(believed, usual)
        if readings and not believed:
            why = "charset_undecidable"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = best.text.rstrip(" \0") if best else ""
            text.owner[text.tag] = DataElement(text.tag, text.vr, said, validation_mode=IGNORE)
        if why != "declared":
            found.append(
                Finding(
                    keyword=keyword_for_tag(text.tag) or "private",
                    declared="\\".join(text.declared),
                    read_as=best.codec if best else "",
                    why=why,
                    margin_bits=round(min(_margin(readings), 99.0), 1),
                )
            )
    return found


@dataclass(frozen=True)
class _Text:
    """A text element that is not plain ASCII, where it stands, and the character sets that hold there."""

    owner: Dataset
    tag: BaseTag
    vr: str
    content: bytes
    declared: tuple[str, ...]


def _texts(dataset: Dataset, declared: tuple[str, ...]) -> Iterator[_Text]:
    declared = _declared(dataset) or declared
    for tag in sorted(dataset.keys()):
        raw = dataset.get_item(tag)
        vr = raw.VR
        if vr in (None, "UN"):
            vr = _dictionary_vr(tag) or vr
        if vr == "SQ":
            for item in dataset[tag].value:
                yield from _texts(item, declared)
        elif vr in TEXT_VRS and isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):
            if b"\x1b" in raw.value or b"\x0e" in raw.value or not raw.value.isascii():
                yield _Text(dataset, BaseTag(tag), vr, raw.value, declared)


def _dictionary_vr(tag: BaseTag) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _declared(dataset: Dataset) -> tuple[str, ...]:
    """The terms of SpecificCharacterSet, as written but for outer blanks; () when there are none."""
    if "SpecificCharacterSet" not in dataset:
        return ()
    element = dataset.get_item("SpecificCharacterSet")
    value = element.value
    if isinstance(value, bytes):
        value = value.decode("latin-1").split("\\")
    terms = [value] if isinstance(value, str) else list(value or [])
    terms = [str(t).strip(" \0").upper() for t in terms]
    return tuple(terms) if any(terms) else ()


# ---------------------------------------------------------------- readings of one value


def _judge(readings: tuple[Reading, ...], usual: str) -> tuple[Reading | None, str]:
    """The reading to believe, if any, and why (not)."""
    best = _choose(readings, usual)
    if not readings or (best and _is_noise(best)):
        return None, "no_charset_fits"
    if any(mark in (best or readings[0]).text for mark in _LOST):
        return None, "characters_lost"
    return (best, best.why) if best else (None, "charset_undecidable")


def _choose(readings: tuple[Reading, ...], usual: str) -> Reading | None:
    """The clearly cheapest reading; among near ones that of the file's other values."""
    if not readings:
        return None
    first = readings[0]
    if _margin(readings) >= CLEAR_BITS:
        return first
    near = [r for r in readings if r.bits - readings[0].bits <= POOLED_BITS and r.codec == usual]
    labelled = first.why == "declared" and first.codec not in LATIN
    return near[0] if near else first if labelled else None


def _is_noise(reading: Reading) -> bool:
    """Neither words of Latin letters nor Chinese as people write it: some other character set."""
    odd = [c for c in reading.text if not c.isascii()]
    if reading.codec in LATIN:
        ascii_bits = 4.0 * (len(reading.text) - len(odd))
        return len(odd) > 2 and bits(reading.text) - ascii_bits >= 12.0 * len(odd)
    rare = [c for c in odd if c.isalpha() and hanzi(c) > 13.0]
    return reading.why != "declared" and len(odd) > 1 and len(rare) == len(odd)


def _two_names(text: _Text, readings: tuple[Reading, ...]) -> bool:
    """Who it is must not be guessed: 薛^小小 in GBK and the Cyrillic Ѧ^СС in UTF-8 are the same bytes."""
    if not readings or (text.vr != "PN" and text.tag != 0x00100020):
        return False
    first = readings[0]
    if any(mark in first.text for mark in _LOST):
        return False
    other_script = first.codec == "utf-8" and not CHINESE.search(first.text)
    nearly_twice = first.codec == "twice" and _margin(readings) <= POOLED_BITS
    return (other_script or nearly_twice) and any(
        r.codec == "gb18030" and _is_chinese_name(r.text) for r in readings
    )


def _is_chinese_name(text: str) -> bool:
    """Words of ASCII letters, and words of hanzi of GB 2312 alone (M眉ller is none)."""
    words = [w for w in _WORD.findall(text) if not w.isascii()]
    return bool(words) and all(CHINESE.match(c) and hanzi(c) <= 13.0 for w in words for c in w)


def _margin(readings: tuple[Reading, ...]) -> float:
    if not readings:
        return 0.0
    others = [r.bits for r in readings if r.text != readings[0].text]
    return min(others) - readings[0].bits if others else 99.0
