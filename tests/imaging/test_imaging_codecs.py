"""A film in every transfer syntax: its values are those of another decoder; lossless ones are the truth."""

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from dicom_maker import dataset
from pydicom import dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)
from truth_maker import film

from p2med.errors import DataError
from p2med.imaging.dicom import read_series

GREY = film(np.random.default_rng(5))
CODECS = {
    JPEGBaseline8Bit: (lambda a: imagecodecs.jpeg8_encode(a, level=90), imagecodecs.jpeg8_decode, 8),
    JPEGExtended12Bit: (
        lambda a: imagecodecs.jpeg8_encode(a, level=90, bitspersample=12),
        imagecodecs.jpeg8_decode,
        12,
    ),
    JPEGLossless: (lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12), None, 12),
    JPEGLosslessSV1: (lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12), None, 12),
    JPEGLSLossless: (imagecodecs.jpegls_encode, None, 12),
    JPEGLSNearLossless: (lambda a: imagecodecs.jpegls_encode(a, level=3), imagecodecs.jpegls_decode, 12),
    JPEG2000Lossless: (lambda a: _j2k(a, reversible=True), None, 12),
    JPEG2000: (lambda a: _j2k(a, level=40), imagecodecs.jpeg2k_decode, 12),
    HTJ2KLossless: (lambda a: imagecodecs.htj2k_encode(a), None, 12),
    HTJ2KLosslessRPCL: (lambda a: imagecodecs.htj2k_encode(a), None, 12),
    HTJ2K: (lambda a: imagecodecs.htj2k_encode(a), None, 12),
}


def _j2k(array: np.ndarray, **options) -> bytes:
    return imagecodecs.jpeg2k_encode(array, codecformat="j2k", bitspersample=12, **options)


def wrapped(frame: bytes, syntax: str, bits: int, **elements) -> bytes:
    stored = GREY if bits > 8 else (GREY >> 4).astype(np.uint8)
    ds = dataset(stored, "CR", BitsStored=bits, HighBit=bits - 1, **elements)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("syntax", CODECS, ids=lambda s: s.name)
def test_a_film_of_every_transfer_syntax_is_read(syntax):
    encode, decode, bits = CODECS[syntax]
    stored = GREY if bits > 8 else (GREY >> 4).astype(np.uint8)
    frame = encode(stored)
    found = read_series([wrapped(frame, syntax, bits)]).array[0]
    if decode is None:
        assert (found == stored).all()
    else:
        other = np.minimum(decode(frame), (1 << bits) - 1)
        # Two decoders of one lossy stream may round a coefficient differently.
        assert np.abs(found.astype(int) - other).max() <= 1
        assert 0 < np.abs(found.astype(int) - stored).max() < (1 << bits) // 10


def test_what_overshoots_in_a_lossy_film_stays_white():
    harsh = np.where(np.indices(GREY.shape).sum(0) % 7 < 3, 1023, 0).astype(np.uint16)
    frame = imagecodecs.jpeg8_encode(harsh, level=30, bitspersample=12)
    assert imagecodecs.jpeg8_decode(frame).max() > 1023
    found = read_series([wrapped(frame, JPEGExtended12Bit, 10)]).array[0]
    assert found.max() == 1023 and np.median(found[harsh == 1023]) > 900


@pytest.mark.parametrize("syntax", CODECS, ids=lambda s: s.name)
def test_a_torn_frame_is_refused(syntax):
    encode, _, bits = CODECS[syntax]
    frame = encode(GREY if bits > 8 else (GREY >> 4).astype(np.uint8))
    for cut in (len(frame) - 4, len(frame) * 3 // 4, len(frame) // 2, 40, 12):
        with pytest.raises(DataError) as error:
            read_series([wrapped(frame[:cut], syntax, bits)])
        assert error.value.reason in ("pixel_data_truncated", "pixel_data_unreadable")
