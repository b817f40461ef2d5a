"""The bones of a DICOM file, walked without recursion and without believing a length.

300 sequences inside each other, 6 KB  ->  nested_too_deep   (pydicom needs 20 GB to write it: SAFETY.md, F4)
an element that claims 3 GB, 100 KB    ->  length_beyond_file
"""

import struct
import zlib
from mmap import mmap

from p2med.errors import DataError

MAX_DEPTH = 32
MAX_ELEMENTS = 1_000_000
MAX_ELEMENT = 16 * 1024**2
"""Bytes of an element that is no pixel data."""
MAX_INFLATED = 256 * 1024**2
DEFLATED = b"1.2.840.10008.1.2.1.99"
BIG_ENDIAN = b"1.2.840.10008.1.2.2"
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_PIXELS = 0x7FE00010
_DOCUMENT = 0x00420011
"""EncapsulatedDocument: refused by what it is, not by its length."""
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_MARKS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")

Buffer = bytes | mmap


def check_structure(data: Buffer, pixels: bool = True) -> None:
    """Refuse what would make a parser recurse, allocate or read for ever.

    Args:
      data: a whole file, with or without preamble and file meta.
      pixels: False stops at the pixel data (their declared length is checked all the same).

    Raises:
      DataError: `nested_too_deep`, `length_beyond_file`, `element_too_long`, `pixel_data_truncated`,
        `too_many_elements`, `decompression_bomb`, `transfer_syntax_contradicts_data`; `dicom_unreadable`
        when a deflated file does not inflate.
    """
    start, syntax = _file_meta(data, 132 if data[128:132] == b"DICM" else 0)
    if syntax == DEFLATED:
        data, start = _inflate(data, start), 0
    head = data[start : start + 8]
    if len(head) == 8:
        # What the first element looks like decides, as in pydicom; a file's syntax is often wrong about it.
        order = ">" if head[0] == 0 and head[1] != 0 else "<"
        if syntax and (syntax == BIG_ENDIAN) != (order == ">"):
            raise DataError(
                "transfer_syntax_contradicts_data", "the bytes of its numbers stand the other way"
            )
        _Walk(data, order, pixels).run(start, b"AA" <= head[4:6] <= b"ZZ")


def _file_meta(data: Buffer, at: int) -> tuple[int, bytes]:
    """Where the data set begins, and the transfer syntax; group 0002 is always explicit, little endian."""
    syntax = b""
    while data[at : at + 2] == b"\x02\x00" and data[at + 4 : at + 6].isalpha():
        element = bytes(data[at + 2 : at + 4])
        long = data[at + 4 : at + 6] in _LONG
        size = data[at + 8 : at + 12] if long else data[at + 6 : at + 8]
        if len(size) < (4 if long else 2):
            break
        value = at + (12 if long else 8)
        length = int.from_bytes(size, "little")
        if value + length > len(data):
            raise DataError("length_beyond_file", f"the file meta claims {length} bytes")
        if element == b"\x10\x00":
            syntax = bytes(data[value : value + length]).strip(b"\0 ")
        at = value + length
    return at, syntax


def _inflate(data: Buffer, start: int) -> bytes:
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        whole = machine.decompress(data[start:], MAX_INFLATED)
    except zlib.error:
        raise DataError("dicom_unreadable", "the deflated data set does not inflate") from None
    if machine.unconsumed_tail:
        raise DataError("decompression_bomb", f"more than {MAX_INFLATED} bytes when inflated")
    return whole


class _Walk:
    """One pass over the elements; what is open stands on a stack of our own."""

    def __init__(self, data: Buffer, order: str, pixels: bool):
        self.data, self.end, self.pixels = data, len(data), pixels
        self.u16, self.u32 = struct.Struct(order + "H"), struct.Struct(order + "I")
        self.pair = struct.Struct(order + "HH")
        self.open: list[tuple[int | None, bool]] = []
        """End (None: a delimiter ends it) and explicit VR of every open sequence and item."""

    def run(self, at: int, explicit: bool) -> None:
        data, stack, count = self.data, self.open, 0
        while at + 8 <= self.end:
            while stack and stack[-1][0] is not None and at >= stack[-1][0]:
                stack.pop()
            count += 1
            if count > MAX_ELEMENTS:
                raise DataError("too_many_elements", f"more than {MAX_ELEMENTS}")
            group, element = self.pair.unpack_from(data, at)
            tag = group << 16 | element
            if group == 0xFFFE:
                at = self._item(tag, at + 8, self.u32.unpack_from(data, at + 4)[0], explicit)
                continue
            vr, value, length = self._header(at, stack[-1][1] if stack else explicit)
            if tag == _PIXELS and not stack and length == _UNDEFINED:
                if not self.pixels:
                    return
                at = self._fragments(value)
            elif length == _UNDEFINED:
                if vr in (b"OB", b"OW"):
                    at = self._fragments(value)
                else:
                    self._enter(None, self._inner(explicit))
                    at = value
            elif value + length > self.end:
                what = "pixel_data_truncated" if tag == _PIXELS and not stack else "length_beyond_file"
                raise DataError(what, f"{self.end - value} bytes of {length}")
            elif length >= 8 and self._is_sequence(vr, value):
                self._enter(value + length, self._inner(explicit))
                at = value
            else:
                if length > MAX_ELEMENT and group != 0x7FE0 and tag != _DOCUMENT:
                    raise DataError("element_too_long", f"{length} bytes")
                at = value + length

    def _header(self, at: int, explicit: bool) -> tuple[bytes, int, int]:
        """VR (empty when there is none), where the value begins, its length."""
        vr = bytes(self.data[at + 4 : at + 6])
        if explicit and vr in _LONG:
            if at + 12 > self.end:
                raise DataError("length_beyond_file", "the file ends inside an element's header")
            return vr, at + 12, self.u32.unpack_from(self.data, at + 8)[0]
        if explicit and b"AA" <= vr <= b"ZZ":
            return vr, at + 8, self.u16.unpack_from(self.data, at + 6)[0]
        return b"", at + 8, self.u32.unpack_from(self.data, at + 4)[0]

    def _is_sequence(self, vr: bytes, value: int) -> bool:
        return vr == b"SQ" or (vr in (b"", b"UN") and bytes(self.data[value : value + 4]) in _ITEM_MARKS)

    def _inner(self, explicit: bool) -> bool:
        return self.open[-1][1] if self.open else explicit

    def _item(self, tag: int, value: int, length: int, explicit: bool) -> int:
        """Open or close an item; returns where the walk goes on."""
        if tag in (_ITEM_END, _SEQUENCE_END):
            if self.open:
                self.open.pop()
            return value
        if length != _UNDEFINED and value + length > self.end:
            raise DataError("length_beyond_file", f"an item claims {length} bytes")
        # Inside UN an item may be implicit; its first element shows it (and pydicom decides likewise).
        inner = self._inner(explicit) and b"AA" <= bytes(self.data[value + 4 : value + 6]) <= b"ZZ"
        if length == _UNDEFINED:
            self._enter(None, inner)
        elif length:
            self._enter(value + length, inner)
        return value

    def _enter(self, end: int | None, explicit: bool) -> None:
        self.open.append((end, explicit))
        # A sequence and its item each count one.
        if len(self.open) > 2 * MAX_DEPTH:
            raise DataError("nested_too_deep", f"more than {MAX_DEPTH} sequences inside each other")

    def _fragments(self, at: int) -> int:
        """Step over encapsulated data, fragment by fragment; a delimiter inside a fragment is data."""
        while at + 8 <= self.end:
            group, element = self.pair.unpack_from(self.data, at)
            tag, length = group << 16 | element, self.u32.unpack_from(self.data, at + 4)[0]
            if tag == _SEQUENCE_END:
                return at + 8
            if tag != _ITEM or at + 8 + length > self.end:
                raise DataError("pixel_data_truncated", "a fragment of the pixel data is cut off or torn")
            at += 8 + length
        raise DataError("pixel_data_truncated", "the file ends inside the pixel data")
