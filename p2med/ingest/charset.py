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
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from p2med.ingest.identity import CHINESE
from p2med.ingest.plausible import bits, hanzi

TEXT_VRS = {"PN", "SH", "LO", "ST", "LT", "UC", "UT", "CS", "AS", "AE"}
"""CS, AS and AE are ASCII by the standard; Chinese consoles write 胸部 and 男 there all the same."""
LATIN = {"latin_1", "iso8859_2", "iso8859_3", "iso8859_4", "iso_ir_148", "iso8859_9"}
OWN_SCRIPT = {"iso_ir_126", "iso_ir_127", "iso_ir_138", "iso_ir_144", "iso_ir_166", "shift_jis"}
"""Single-byte sets whose words have no ASCII letter cannot be told from GBK, so they are believed."""
SPELLINGS = {
    "UTF-8": "utf-8", "UTF8": "utf-8", "ISO_IR192": "utf-8", "GB2312": "gb18030", "GBK": "gb18030",
    "CP936": "gb18030", "GB18030-2000": "gb18030", "GB 18030": "gb18030", "ISO_IR 58": "gb18030",
    "GB18030": "gb18030", "ISO 2022 GBK": "gb18030", "ISO 2022 58": "gb18030", "ISO_IR 192": "utf-8",
}  # fmt: skip
"""Terms of the field for one encoding of many bytes; some are in the standard, some only in use."""
CLEAR_BITS = 3.0
POOLED_BITS = 6.0
CUT_BITS = 25.0
OTHER_SCRIPT_BITS = 12.0
"""Two or three hanzi in GBK may be bytes of Cyrillic or Arabic words in UTF-8; no one writes those here."""
_ESCAPE = re.compile(rb"\x1b[$()\-.,/]{1,2}[0-9A-Z]")
_CHINESE_ESCAPES = (b"\x1b$)A", b"\x1b$A", b"\x1b(B", b"\x1b$(A", b"\x1b-A", b"\x1b(J")
_SEVEN_BIT = re.compile(rb"(?:\x1b\$\(?A|\x0e)([!-~]*)(?:\x1b\(B|\x0f|$)")
_LOST = ("\ufffd", "锟斤拷", "烫烫烫")


@dataclass(frozen=True)
class Reading:
    """One way to read a value; `bits` is its cost."""

    text: str
    codec: str
    why: str
    bits: float


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
    values = [(text, _readings(text.content, text.declared)) for text in _texts(dataset, ())]
    clear = Counter(r[0].codec for _, r in values if _margin(r) >= CLEAR_BITS)
    usual = clear.most_common(1)[0][0] if clear else ""
    for text, readings in values:
        best, why = _judge(readings, usual)
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
    labelled = first.why == "declared" and first.codec in ("utf-8", "gb18030")
    return near[0] if near else first if labelled else None


def _is_noise(reading: Reading) -> bool:
    """Neither words of Latin letters nor Chinese as people write it: some other character set."""
    odd = [c for c in reading.text if not c.isascii()]
    if reading.codec in LATIN:
        ascii_bits = 4.0 * (len(reading.text) - len(odd))
        return len(odd) > 2 and bits(reading.text) - ascii_bits >= 12.0 * len(odd)
    rare = [c for c in odd if c.isalpha() and hanzi(c) > 13.0]
    return reading.why != "declared" and len(odd) > 1 and len(rare) == len(odd)


def _margin(readings: tuple[Reading, ...]) -> float:
    if not readings:
        return 0.0
    others = [r.bits for r in readings if r.text != readings[0].text]
    return min(others) - readings[0].bits if others else 99.0


@lru_cache(maxsize=65536)
def _readings(content: bytes, declared: tuple[str, ...]) -> tuple[Reading, ...]:
    """Every possible reading, the cheapest first."""
    content = content.rstrip(b" \0")
    if b"\x1b" in content or b"\x0e" in content:
        return _escaped(content, declared)
    first, claimed = _codecs(declared)
    if first in OWN_SCRIPT:
        text = _decode(content, first)[0]
        return (Reading(text, first, "declared", 0.0),) if text is not None else ()
    found = []
    others = ("utf-8", "gb18030") if first in LATIN else ("utf-8", "gb18030", "latin_1")
    for codec in dict.fromkeys((first, *others)):
        text, cut = _decode(content, codec)
        if text is None:
            continue
        why = (
            "declared" if codec == first and declared else "undeclared" if not declared else "declared_wrong"
        )
        if codec in claimed and codec != first:
            why = "not_as_second_value"
        believed = (
            (4.0 if codec in LATIN else 8.0) if codec == first and declared or codec in claimed else 0.0
        )
        # Elements of 64 bytes end inside a character where a device counts bytes; short ones hardly do.
        other_script = why == "declared_wrong" and codec == "utf-8" and not CHINESE.search(text)
        cost = (
            bits(text)
            + other_script * OTHER_SCRIPT_BITS
            + cut * (2.0 if len(content) >= 60 else CUT_BITS)
            - believed
        )
        private = why != "declared" and any("\ue000" <= c <= "\uf8ff" for c in text)
        if cost < float("inf") and not private:
            found.append(Reading(text, codec, "cut_off" if cut else why, cost))
        if not cut and codec in ("utf-8", "gb18030"):
            found += _twice(text)
    return tuple(sorted(found, key=lambda r: r.bits))


def _codecs(declared: tuple[str, ...]) -> tuple[str, set[str]]:
    """The codec of the first term, and the codecs of terms that may not stand where they stand."""
    codecs = [SPELLINGS.get(t) or _standard_codec(t) for t in declared] or ["latin_1"]
    return codecs[0], {c for c in codecs[1:] if c in ("utf-8", "gb18030")}


def _standard_codec(term: str) -> str:
    term = re.sub(r"^ISO[ _\-]?IR[ _\-]?(?=\d)", "ISO_IR ", term)
    if term == "ISO 2022 IR 58":
        return "gb18030"
    return {"iso8859": "latin_1"}.get(
        python_encoding.get(term, "latin_1"), python_encoding.get(term, "latin_1")
    )


def _decode(content: bytes, codec: str) -> tuple[str | None, bool]:
    """Text, and whether a character at the end was cut off; None when the codec does not fit."""
    try:
        return content.decode(codec), False
    except UnicodeDecodeError as error:
        if error.reason not in ("unexpected end of data", "incomplete multibyte sequence"):
            return None, False
        start = error.start
    return (content[:start].decode(codec), True) if start else (None, False)


def _twice(text: str) -> list[Reading]:
    """Chinese bytes that were taken for Latin-1 or Windows-1252 and encoded once more."""
    found = []
    for outer in ("latin_1", "cp1252"):
        try:
            inner = text.encode(outer)
        except UnicodeEncodeError:
            continue
        for codec in ("utf-8", "gb18030"):
            again, cut = _decode(inner, codec)
            if again is not None and not cut and again != text:
                found.append(Reading(again, "twice", "encoded_twice", bits(again) + 4.0))
    return [r for r in found if r.bits < float("inf")]


def _escaped(content: bytes, declared: tuple[str, ...]) -> tuple[Reading, ...]:
    """ISO 2022: Chinese escapes are taken out here, all others are left to pydicom."""
    escapes = set(_ESCAPE.findall(content))
    why = "declared" if any("58" in t for t in declared) else "escapes_undeclared"
    if escapes <= set(_CHINESE_ESCAPES):
        plain = _SEVEN_BIT.sub(lambda m: bytes(b | 0x80 for b in m[1]), content)
        text = _decode(re.sub(rb"[\x0e\x0f]", b"", _ESCAPE.sub(b"", plain)), "gb18030")[0]
        codec = "iso_2022_58"
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            codecs = convert_encodings([*(declared or ("",)), *_OTHER_ESCAPES])
            text = decode_bytes(content, codecs, {ord(c) for c in "\r\n\t\f^=\\"})
        codec, known = "iso_2022", set(_OTHER_ESCAPES) & set(declared)
        why = "declared" if known else "escapes_undeclared"
    if text is None or "\x1b" in text or bits(text) == float("inf"):
        return ()
    return (Reading(text, codec, why, 0.0),)


_OTHER_ESCAPES = ("ISO 2022 IR 87", "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 13", "ISO 2022 IR 100")
