"""What a compressed frame says of itself; a header that says otherwise is not believed.

JPEG, JPEG-LS: SOFn  FFC0 length P Y X Nf      JPEG 2000: SIZ  FF4F FF51 …
"""

import struct
from dataclasses import dataclass

from p2med.errors import DataError
from p2med.imaging.header import Header

_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start of frame: JPEG (ITU-T T.81, table B.1) and JPEG-LS (T.87)."""
_BARE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length."""
_SIZ = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Shape:
    rows: int
    columns: int
    samples: int
    bits: int


def shape_of(frame: bytes) -> Shape | None:
    """The shape that a JPEG, JPEG-LS or JPEG 2000 codestream declares; None when it has none.

    Source: ITU-T T.81 B.2.2, T.87 C.2.2, T.800 A.5.1.
    """
    if frame[:2] == b"\xff\xd8":
        return _jpeg(frame)
    at = frame.find(_SIZ, 0, 4096)
    if at < 0 or len(frame) < at + 43:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", frame, at + 8)
    samples, depth = struct.unpack_from(">HB", frame, at + 40)
    return Shape(bottom - top, right - left, samples, (depth & 0x7F) + 1)


def _jpeg(frame: bytes) -> Shape | None:
    at = 2
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _SOF:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", frame, at + 4)
            return Shape(rows, columns, samples, bits)
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def check_frame(frame: bytes, header: Header) -> None:
    """A codec allocates what the codestream asks for, and numpy folds it as the header says: they must agree.

    Raises:
      DataError: `codestream_contradicts_header`, `pixel_data_truncated`, `pixel_data_unreadable`.
    """
    found = shape_of(frame)
    if frame[:2] == b"\xff\xd8" and not frame.rstrip(b"\0\xff").endswith(b"\xff\xd9"):
        # Some decoders of JPEG fill what is missing with grey and say nothing.
        raise DataError("pixel_data_truncated", "a frame without its end")
    if found is None:
        raise DataError("pixel_data_unreadable", "a frame that does not begin like its transfer syntax")
    if (found.rows, found.columns, found.samples) != (header.rows, header.columns, header.samples):
        raise DataError("codestream_contradicts_header", "rows, columns or samples differ")
    if found.bits > header.bits_allocated:
        raise DataError("codestream_contradicts_header", f"{found.bits} bits in {header.bits_allocated}")
