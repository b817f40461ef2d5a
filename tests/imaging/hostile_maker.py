"""Files that were made to break a reader; every value is invented."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from dicom_maker import CT_CLASS, dataset, made, to_bytes
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

UNDEFINED = b"\xff\xff\xff\xff"
_BEFORE = b"\x08\x00\x60\x00CS"
"""Modality: what is planted stands before it."""


def hostile() -> Iterator[tuple[str, bytes, str]]:
    """Name, file, and the only reason for which it may be refused; "" where it may also be read."""
    film = np.random.default_rng(1).integers(0, 4000, (32, 32)).astype(np.uint16)
    plain = made(film)
    yield from _structure(plain)
    yield from _claims(film, plain)
    yield from _compressed(film)
    yield from _other_kinds(film, plain)


def plant(whole: bytes, elements: bytes) -> bytes:
    at = whole.index(_BEFORE)
    return whole[:at] + elements + whole[at:]


def _structure(plain: bytes) -> Iterator[tuple[str, bytes, str]]:
    item, sequence = b"\xfe\xff\x00\xe0", b"\x08\x00\x40\x11SQ\x00\x00"
    for depth in (300, 100_000):
        yield (
            f"undefined_{depth}",
            plant(plain, (sequence + UNDEFINED + item + UNDEFINED) * depth),
            "nested_too_deep",
        )
    inner = b""
    for _ in range(300):
        inner = item + struct.pack("<I", len(inner)) + inner
        inner = sequence + struct.pack("<I", len(inner)) + inner
    yield "defined_300", plant(plain, inner), "nested_too_deep"
    unknown = b"\x09\x00\x01\x10UN\x00\x00" + UNDEFINED + item + UNDEFINED
    yield "unknown_300", plant(plain, unknown * 300), "nested_too_deep"
    tiny = b"\x08\x00\x05\x00CS\x00\x00" * 1_100_000
    yield "million_elements", plant(plain, tiny), "too_many_elements"
    huge = b"\x08\x00\x40\x11UN\x00\x00" + struct.pack("<I", 3 * 1024**3)
    yield "claims_3gb", plant(plain, huge), "length_beyond_file"
    yield "item_claims_3gb", plant(plain, sequence + UNDEFINED + item + b"\0\0\0\xc0"), "length_beyond_file"
    yield (
        "text_60mb",
        plant(plain, b"\x08\x00\x81\x00UT\x00\x00" + struct.pack("<I", 60 << 20) + b"x" * (60 << 20)),
        "element_too_long",
    )


def _claims(film: np.ndarray, plain: bytes) -> Iterator[tuple[str, bytes, str]]:
    at = plain.index(b"\xe0\x7f\x10\x00") + 8
    yield "pixels_claim_3gb", plain[:at] + b"\0\0\0\xc0" + plain[at + 4 :], "pixel_data_truncated"
    yield "rows_65535", made(film, Rows=65535, Columns=65535), "image_too_large"
    yield "frames_2e9", made(film, NumberOfFrames=2_000_000_000), "multi_frame_ct"
    yield "cr_frames_2e9", made(film, "CR", NumberOfFrames=2_000_000_000), "multi_frame_radiograph"
    yield "rows_zero", made(film, Rows=0), "not_an_image"
    yield "rows_too_few", made(film, Rows=16), "pixel_data_too_long"
    yield "rows_too_many", made(film, Rows=64), "pixel_data_truncated"
    yield "slope_huge", made(film, RescaleSlope="1e300"), "hounsfield_out_of_range"
    yield "slope_zero", made(film, RescaleSlope=0), "no_hounsfield_units"
    yield "bits_stored_4", made(film, BitsStored=4, HighBit=3), "bits_beyond_stored"
    yield "high_bit_200", made(film, BitsStored=12, HighBit=200), "bits_not_supported"
    yield "kinds_10000", made(film, ImageType=["ORIGINAL"] * 5000), ""
    for name, syntax in (
        ("declared_jpeg", b"1.2.840.10008.1.2.4.70"),
        ("declared_nothing", b"9.9.9.9.9.9.9.9.9.9.9."),
    ):
        yield name, plain.replace(b"1.2.840.10008.1.2.1\0", syntax[:20].ljust(20, b"\0"), 1), ""


def _compressed(film: np.ndarray) -> Iterator[tuple[str, bytes, str]]:
    whole = {}
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        ds = dataset(film, BitsStored=12, HighBit=11)
        ds.compress(syntax)
        whole[syntax] = ds
    j2k = whole[JPEG2000Lossless]
    stream = bytes(j2k.PixelData)
    at = stream.index(b"\xff\x4f\xff\x51") + 8
    j2k.PixelData = stream[:at] + struct.pack(">II", 60_000, 60_000) + stream[at + 8 :]
    yield "j2k_claims_60000", to_bytes(j2k), "codestream_contradicts_header"
    j2k.PixelData = stream
    yield "j2k_turned", to_bytes(_with(j2k, Rows=16, Columns=64)), "codestream_contradicts_header"
    rle = whole[RLELossless]
    rle.PixelData = encapsulate([struct.pack("<16I", 15, *range(0xFFFFFFF0, 0xFFFFFFFF)) + b"\x80" * 64])
    yield "rle_segments_beyond", to_bytes(rle), "pixel_data_unreadable"
    rle.PixelData = encapsulate([b"\0" * 10])
    yield "rle_short", to_bytes(rle), "pixel_data_unreadable"
    rle.PixelData = encapsulate([b"\0\0"] * 20_000)
    yield "fragments_20000", to_bytes(rle), "pixel_data_unreadable"
    jls = whole[JPEGLSLossless]
    jls.PixelData = bytes(jls.PixelData)[:40]
    yield "jls_cut", to_bytes(jls)[:-8], "pixel_data_truncated"


def _with(ds, **elements):
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def _other_kinds(film: np.ndarray, plain: bytes) -> Iterator[tuple[str, bytes, str]]:
    pdf = dataset(film, SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", Modality="DOC", PixelData=None)
    pdf.file_meta.MediaStorageSOPClassUID = pdf.SOPClassUID
    pdf.MIMETypeOfEncapsulatedDocument, pdf.EncapsulatedDocument = "application/pdf", b"%PDF-1.7 "
    yield "pdf_inside", to_bytes(pdf), "encapsulated_document"
    pdf.Modality = "CT"
    yield "pdf_says_ct", to_bytes(pdf), "encapsulated_document"
    yield "directory", made(film, SOPClassUID="1.2.840.10008.1.3.10"), "dicomdir"
    yield "report_says_ct", made(film, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22"), "sop_class_not_accepted"
    yield "ct_stored_as_film", made(film, "CR", SOPClassUID=CT_CLASS), "modality_contradicts_class"
    for name, blob in (
        ("empty", b""),
        ("one_byte", b"\0"),
        ("pdf", b"%PDF-1.7\n" * 90),
        ("marks", b"\0" * 128 + b"DICM"),
    ):
        yield name, blob, "not_an_image" if name == "marks" else "not_dicom"
    yield "bomb_deflated", deflated(plain, 600 * 1024**2), "decompression_bomb"
    yield "cut_deflated", deflated(plain, 1000)[:-300], ""


def deflated(plain: bytes, zeros: int) -> bytes:
    """The data set deflated, with a private element of so many zeros before its end."""
    syntax = b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"
    at = plain.index(b"\x08\x00\x16\x00")
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = b"\x09\x00\x01\x10OB\x00\x00" + struct.pack("<I", zeros)
    body = machine.compress(plant(plain, head)[at : plain.index(_BEFORE) + len(head)])
    for _ in range(zeros // 1_000_000):
        body += machine.compress(b"\0" * 1_000_000)
    body += machine.compress(b"\0" * (zeros % 1_000_000)) + machine.compress(plain[plain.index(_BEFORE) :])
    body += machine.flush()
    meta = b"\0" * 128 + b"DICM\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(syntax)) + syntax
    return meta + body
