"""Stored pixels of one DICOM instance -> Hounsfield units or grey values; rescaled exactly once."""

import warnings
from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from p2med.errors import DataError
from p2med.imaging.header import Header

AIR_HU = -1024
MAX_VALUES = 2**30
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as JPEG's YCbCr


def decode_ct(dataset: Dataset, frames: Sequence[Header], blob_hint: bytes = b"") -> np.ndarray:
    """Read the frames of a CT instance.

    Args:
      frames: one header for each frame (its rescale may differ).

    Returns:
      int16[F, H, W] in HU. Padding is never brighter than air (-1024).

    Raises:
      DataError: `no_hounsfield_units` and the reasons of `stored_values`.
    """
    stored = stored_values(dataset, frames[0], blob_hint)
    if stored.ndim != 3:
        raise DataError("photometric_not_supported", "a CT in colour")
    hu = np.empty(stored.shape, np.int16)
    for n, header in enumerate(frames):
        if header.rescale is None or header.rescale[0] == 0:
            raise DataError("no_hounsfield_units", "RescaleIntercept is missing or RescaleSlope is 0")
        slope, intercept = header.rescale
        values = stored[n] * slope + intercept
        if header.padding:
            padded = (stored[n] >= header.padding[0]) & (stored[n] <= header.padding[1])
            values = np.where(padded, np.minimum(values, AIR_HU), values)
        hu[n] = np.clip(np.rint(values), -32768, 32767)
    return hu


def decode_radiograph(dataset: Dataset, header: Header, blob_hint: bytes = b"") -> np.ndarray:
    """Read a radiograph.

    Returns:
      uint16[1, H, W], stored grey values; bright is dense also where the file says MONOCHROME1.

    Raises:
      DataError: `photometric_not_supported`, `multi_frame_radiograph` and the reasons of `stored_values`.
    """
    if header.frames != 1:
        raise DataError("multi_frame_radiograph", f"{header.frames} frames")
    stored = stored_values(dataset, header, blob_hint)
    if stored.ndim == 4:
        return np.rint(stored @ _LUMINANCE).astype(np.uint16)
    if header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError("photometric_not_supported", "neither grey nor RGB nor YBR")
    padded = None
    if header.padding:
        padded = (stored >= header.padding[0]) & (stored <= header.padding[1])
    values = stored + (1 << (header.bits_stored - 1)) if header.signed else stored
    falling = header.rescale is not None and header.rescale[0] < 0
    if (header.photometric == "MONOCHROME1") != falling:
        values = (1 << header.bits_stored) - 1 - values
    values = np.clip(values, 0, 65535)
    if padded is not None and padded.any() and not padded.all():
        values[padded] = values[~padded].min()
    return values.astype(np.uint16)


def stored_values(dataset: Dataset, header: Header, blob_hint: bytes = b"") -> np.ndarray:
    """Decode the pixel data.

    Args:
      blob_hint: the file's bytes; tells a cut-off file from one that never had pixels.

    Returns:
      int32[F, H, W] or, in colour, int32[F, H, W, 3].

    Raises:
      DataError: `not_an_image`, `pixel_data_truncated`, `pixel_data_unreadable`, `image_too_large`,
        `bits_not_supported`.
    """
    if header.bits_allocated not in (8, 16, 32) or not 1 <= header.bits_stored <= 16:
        raise DataError(
            "bits_not_supported", f"{header.bits_allocated} allocated, {header.bits_stored} stored"
        )
    count = header.frames * header.rows * header.columns * header.samples
    if count > MAX_VALUES:
        raise DataError("image_too_large", f"{count} values")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_length(dataset, header, count, blob_hint)
            array = np.asarray(dataset.pixel_array)
    except (DataError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        # pylibjpeg-rle raises pyo3's PanicException, which is no Exception (SAFETY.md, F5).
        raise DataError("pixel_data_unreadable", type(error).__name__) from None
    shape = (header.frames, header.rows, header.columns) + ((3,) if header.samples == 3 else ())
    if array.size != np.prod(shape):
        raise DataError("pixel_data_unreadable", f"shape {array.shape} instead of {shape}")
    return _meaningful_bits(array.reshape(shape), header)


def names_pixel_data(blob: bytes) -> bool:
    """True when the tag of PixelData stands somewhere in the file, in either byte order."""
    return b"\xe0\x7f\x10\x00" in blob or b"\x7f\xe0\x00\x10" in blob


def _check_length(dataset: Dataset, header: Header, count: int, blob: bytes) -> None:
    if "PixelData" not in dataset or not dataset.PixelData:
        if names_pixel_data(blob):
            raise DataError("pixel_data_truncated", "the file ends inside the pixel data")
        raise DataError("not_an_image", "there is no PixelData")
    data = dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    expected = count * header.bits_allocated // 8
    if header.photometric == "YBR_FULL_422":
        expected = expected * 2 // 3
    if len(data) < expected:
        raise DataError("pixel_data_truncated", f"{len(data)} bytes of {expected}")


def _meaningful_bits(array: np.ndarray, header: Header) -> np.ndarray:
    """Drop what stands above and below the stored bits (old overlays), extend the sign."""
    values = array.astype(np.int64)
    if header.samples == 3:
        return values.astype(np.int32)
    below = max(0, header.high_bit + 1 - header.bits_stored)
    values = (values >> below) & ((1 << header.bits_stored) - 1)
    if header.signed:
        values -= (values >> (header.bits_stored - 1)) << header.bits_stored
    return values.astype(np.int32)
