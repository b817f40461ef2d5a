"""How the bytes of one text element may be read, each way with its cost in bits."""

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes, python_encoding

from p2med.imaging.identity import CHINESE
from p2med.imaging.plausible import bits

LATIN = {"latin_1", "iso8859_2", "iso8859_3", "iso8859_4", "iso_ir_148", "iso8859_9"}
OWN_SCRIPT = {"iso_ir_126", "iso_ir_127", "iso_ir_138", "iso_ir_144", "iso_ir_166", "shift_jis"}
"""Single-byte sets whose words have no ASCII letter cannot be told from GBK, so they are believed."""
SPELLINGS = {
    "UTF-8": "utf-8", "UTF8": "utf-8", "ISO_IR192": "utf-8", "GB2312": "gb18030", "GBK": "gb18030",
    "CP936": "gb18030", "GB18030-2000": "gb18030", "GB 18030": "gb18030", "ISO_IR 58": "gb18030",
    "GB18030": "gb18030", "ISO 2022 GBK": "gb18030", "ISO 2022 58": "gb18030", "ISO_IR 192": "utf-8",
}  # fmt: skip
"""Terms of the field for one encoding of many bytes; some are in the standard, some only in use."""
CUT_BITS = 25.0
OTHER_SCRIPT_BITS = 12.0
"""Two or three hanzi in GBK may be bytes of Cyrillic or Arabic words in UTF-8; no one writes those here."""
NEAR_BITS = 2.5
"""A file's other values may overrule what is believed because it cannot be told apart (charset._choose)."""
_ESCAPE = re.compile(rb"\x1b[$()\-.,/]{1,2}[0-9A-Z]")
_CHINESE_ESCAPES = (b"\x1b$)A", b"\x1b$A", b"\x1b(B", b"\x1b$(A", b"\x1b-A", b"\x1b(J")
_SEVEN_BIT = re.compile(rb"(?:\x1b\$\(?A|\x0e)([!-~]*)(?:\x1b\(B|\x0f|$)")


@dataclass(frozen=True)
class Reading:
    """One way to read a value; `bits` is its cost."""

    text: str
    codec: str
    why: str
    bits: float


@lru_cache(maxsize=65536)
def readings_of(content: bytes, declared: tuple[str, ...]) -> tuple[Reading, ...]:
    """Every possible reading, the cheapest first."""
    content = content.rstrip(b" \0")
    if b"\x1b" in content or b"\x0e" in content:
        return _escaped(content, declared)
    first, claimed = _codecs(declared)
    if first in OWN_SCRIPT and (text := _own_script(content, first)) is not None:
        others = [(c, t) for c in ("utf-8", "gb18030") if (t := _decode(content, c)[0]) is not None]
        likely = [Reading(t, c, "declared_wrong", NEAR_BITS) for c, t in others if bits(t) < 14.0 * len(t)]
        return (Reading(text, first, "declared", 0.0), *likely)
    found = []
    for codec in dict.fromkeys((first, "utf-8", "gb18030", *(() if first in LATIN else ("latin_1",)))):
        text, cut = _decode(content, codec)
        if text is None:
            continue
        why = _why(codec, first, declared, claimed)
        cost = bits(text)
        if why == "declared" or codec in claimed:
            cost -= 4.0 if codec in LATIN else 8.0
        if why == "declared_wrong" and codec == "utf-8" and not CHINESE.search(text):
            cost += OTHER_SCRIPT_BITS
        if cut:
            # Elements of 64 bytes end inside a character where a device counts bytes; short ones hardly do.
            cost += 2.0 if len(content) >= 60 else CUT_BITS
        private = why != "declared" and any("\ue000" <= c <= "\uf8ff" for c in text)
        if cost < float("inf") and not private:
            found.append(Reading(text, codec, "cut_off" if cut else why, cost))
        if not cut and codec in ("utf-8", "gb18030"):
            found += _twice(text)
    return tuple(sorted(found, key=lambda r: r.bits))


def _why(codec: str, first: str, declared: tuple[str, ...], claimed: set[str]) -> str:
    if not declared:
        return "undeclared"
    if codec == first:
        return "declared"
    return "not_as_second_value" if codec in claimed else "declared_wrong"


def _own_script(content: bytes, codec: str) -> str | None:
    """The text in a script of its own; ISO_IR 13 is half-width katakana, A1 to DF, and no kanji."""
    if codec == "shift_jis" and any(b > 0xDF or 0x7F < b < 0xA1 for b in content):
        return None
    return _decode(content, codec)[0]


def _codecs(declared: tuple[str, ...]) -> tuple[str, set[str]]:
    """The codec of the first term, and the codecs of terms that may not stand where they stand."""
    codecs = [_standard_codec(t) for t in declared] or ["latin_1"]
    return codecs[0], {c for c in codecs[1:] if c in ("utf-8", "gb18030")}


def _standard_codec(term: str) -> str:
    """pydicom's codec of a term, by one name; ISO-IR 100, ISO IR 100 and ISO_IR100 are one term."""
    term = re.sub(
        r"^ISO[ _\-]?(2022[ _\-]?)?IR[ _\-]?(?=\d)", lambda m: "ISO 2022 IR " if m[1] else "ISO_IR ", term
    )
    if term == "ISO 2022 IR 58":
        return "gb18030"
    codec = SPELLINGS.get(term) or python_encoding.get(term, "latin_1")
    return {"iso8859": "latin_1", "UTF8": "utf-8", "GB18030": "gb18030", "GBK": "gb18030"}.get(codec, codec)


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
