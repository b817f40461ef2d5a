"""Stored pixels of one DICOM instance -> Hounsfield units or grey values; rescaled exactly once."""

import warnings
from collections.abc import Sequence

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from p2med.errors import DataError
from p2med.imaging.codestream import check_frame
from p2med.imaging.header import ENHANCED_CT, Header
from p2med.imaging.lut import has_table, through_table

AIR_HU = -1024
MAX_VALUES = 2**28
"""Of one file or series: 1,024 slices of 512 x 512."""
LOSSY = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K}
_INT16 = np.iinfo(np.int16)


def luminance(colours: np.ndarray) -> np.ndarray:
    """Grey, int32[...], of integer colours [..., 3]; half is rounded up (ITU-R BT.601, as JPEG's YCbCr).

    In whole numbers: one colour in a thousand lies halfway, and fractions would fall as the processor adds.
    """
    red, green, blue = (colours[..., n].astype(np.int32) for n in range(3))
    return (299 * red + 587 * green + 114 * blue + 500) // 1000


def decode_ct(dataset: Dataset, frames: Sequence[Header], blob_hint: bytes = b"") -> np.ndarray:
    """Read the frames of a CT instance.

    Args:
      frames: one header for each frame (its rescale may differ).

    Returns:
      int16[F, H, W] in HU. Padding is never brighter than air (-1024).

    Raises:
      DataError: `no_hounsfield_units`, `hounsfield_out_of_range`, and the reasons of `stored_values`.
    """
    first = frames[0]
    if has_table(dataset, "ModalityLUTSequence"):
        raise DataError("no_hounsfield_units", "a table in the place of RescaleSlope and RescaleIntercept")
    scales = [hounsfield_scale(header) for header in frames]
    raw = _raw_values(dataset, first, blob_hint)
    if first.samples != 1 or not first.photometric.startswith("MONOCHROME"):
        raise DataError("photometric_not_supported", "a CT in colour")
    hu = np.empty(raw.shape, np.int16)
    for n, header in enumerate(frames):
        values, padded = _meaningful(dataset, raw[n], header)
        hu[n] = _hounsfield(values, padded, *scales[n])
    return hu


def hounsfield_scale(header: Header) -> tuple[float, float]:
    """Slope and intercept to Hounsfield units.

    Raises:
      DataError: `no_hounsfield_units`, the values are something else, or cannot be known to be HU.
    """
    if header.rescale is None or header.rescale[0] == 0:
        raise DataError("no_hounsfield_units", "RescaleIntercept is missing or RescaleSlope is 0")
    if header.rescale_type == "US":  # unspecified; GDCM writes it when it copies a slice
        known = header.sop_class_uid != ENHANCED_CT and "DERIVED" not in header.image_type
    else:
        known = header.rescale_type in (None, "HU")
    if not known:
        raise DataError("no_hounsfield_units", "RescaleType says that the values are something else")
    return header.rescale


def _hounsfield(values: np.ndarray, padded: np.ndarray | None, slope: float, intercept: float) -> np.ndarray:
    # Photometric interpretation is about display; it changes no HU.
    if slope == 1 and intercept == int(intercept) and abs(intercept) < 2**24:
        found = values + np.int32(intercept)
    else:
        # Beyond this no HU lies; rint of a larger float would wrap when it becomes an integer.
        found = np.rint(np.clip(values * slope + intercept, -1e9, 1e9)).astype(np.int32)
    if padded is not None:
        found[padded] = np.minimum(found[padded], AIR_HU).clip(_INT16.min)
    if found.size and (found.min() < _INT16.min or found.max() > _INT16.max):
        raise DataError("hounsfield_out_of_range", "values that no tissue, air or metal has")
    return found.astype(np.int16)


def decode_radiograph(dataset: Dataset, header: Header, blob_hint: bytes = b"") -> np.ndarray:
    """Read a radiograph: modality table or sign of the slope, VOI table, then polarity, each once.

    Returns:
      uint16[1, H, W], grey values; bright is dense also where the file says MONOCHROME1.

    Raises:
      DataError: `photometric_not_supported`, `photometric_contradicts_lut_shape`, `multi_frame_radiograph`
        and the reasons of `stored_values` and lut.py.
    """
    if header.frames != 1:
        raise DataError("multi_frame_radiograph", f"{header.frames} frames")
    raw = _raw_values(dataset, header, blob_hint)[0]
    if header.samples == 3:
        if not header.photometric.startswith(("RGB", "YBR")):
            raise DataError("photometric_not_supported", "three samples that are neither RGB nor YBR")
        return luminance(raw).astype(np.uint16)[None]
    if header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError("photometric_not_supported", "neither grey nor RGB nor YBR")
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    if shape == "INVERSE" and header.photometric == "MONOCHROME2":
        raise DataError("photometric_contradicts_lut_shape", "MONOCHROME2 and INVERSE")
    values, padded = _meaningful(dataset, raw, header)
    bits = header.bits_stored
    turned = header.photometric == "MONOCHROME1"
    tables = [s for s in ("ModalityLUTSequence", "VOILUTSequence") if has_table(dataset, s)]
    if tables:
        for name in tables:
            values, bits = through_table(values, dataset, name)
    elif header.signed:
        values = values + (1 << (bits - 1))
    if header.rescale is not None and header.rescale[0] < 0 and "ModalityLUTSequence" not in tables:
        if tables:
            raise DataError("lut_not_supported", "a falling slope before a table")
        turned = not turned
    if turned:
        values = (1 << bits) - 1 - values
    values = np.clip(values, 0, 65535)
    if padded is not None and not padded.all():
        values[padded] = values[~padded].min()
    return values.astype(np.uint16)[None]


def stored_values(dataset: Dataset, header: Header, blob_hint: bytes = b"") -> np.ndarray:
    """Decode the pixel data.

    Args:
      blob_hint: the file's bytes; tells a cut-off file from one that never had pixels.

    Returns:
      int32[F, H, W] or, in colour, int32[F, H, W, 3].

    Raises:
      DataError: `not_an_image`, `pixel_data_truncated`, `pixel_data_too_long`, `pixel_data_unreadable`,
        `image_too_large`, `bits_not_supported`, `bits_beyond_stored`, `transfer_syntax_contradicts_pixels`,
        `codestream_contradicts_header`.
    """
    raw = _raw_values(dataset, header, blob_hint)
    if header.samples == 3:
        return raw.astype(np.int32)
    found = np.empty(raw.shape, np.int32)
    for n, frame in enumerate(raw):
        found[n], padded = _meaningful(dataset, frame, header)
        if padded is not None and (found[n][padded] != frame[padded]).any():
            raise DataError("bits_beyond_stored", "a padding value that the stored bits cannot hold")
    return found


def names_pixel_data(blob: bytes) -> bool:
    """True when the tag of PixelData stands somewhere in the file, in either byte order."""
    return b"\xe0\x7f\x10\x00" in blob or b"\x7f\xe0\x00\x10" in blob


def _raw_values(dataset: Dataset, header: Header, blob: bytes) -> np.ndarray:
    """[F, H, W] or [F, H, W, 3] as the decoders give it."""
    if header.bits_allocated not in (8, 16, 32) or not 1 <= header.bits_stored <= 16:
        raise DataError(
            "bits_not_supported", f"{header.bits_allocated} allocated, {header.bits_stored} stored"
        )
    if not header.bits_stored - 1 <= header.high_bit < header.bits_allocated:
        raise DataError("bits_not_supported", f"high bit {header.high_bit} of {header.bits_stored} stored")
    count = header.frames * header.rows * header.columns * header.samples
    if count > MAX_VALUES:
        raise DataError("image_too_large", f"{count} values")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_data(dataset, header, count, blob)
            array = _decoded(dataset, header)
    except (DataError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        # pylibjpeg-rle raises pyo3's PanicException, which is no Exception (SAFETY.md, F5).
        raise DataError("pixel_data_unreadable", type(error).__name__) from None
    shape = (header.frames, header.rows, header.columns) + ((3,) if header.samples == 3 else ())
    if array.size != np.prod(shape):
        raise DataError("pixel_data_unreadable", f"shape {array.shape} instead of {shape}")
    return array.reshape(shape)


def _decoded(dataset: Dataset, header: Header) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == JPEGExtended12Bit and header.bits_stored > 8 and header.samples == 1:
        # No decoder of pydicom reads 12 bits, and GDCM's own turns what overshoots white into black.
        frames = generate_frames(dataset.PixelData, number_of_frames=header.frames)
        return np.stack([imagecodecs.jpeg8_decode(frame) for frame in frames])
    # By default pydicom clears the bits above the stored ones without a word.
    return np.asarray(pixel_array(dataset, correct_unused_bits=False, allow_excess_frames=False))


def _check_data(dataset: Dataset, header: Header, count: int, blob: bytes) -> None:
    if "PixelData" not in dataset or not dataset.PixelData:
        if names_pixel_data(blob):
            raise DataError("pixel_data_truncated", "the file ends inside the pixel data")
        raise DataError("not_an_image", "there is no PixelData")
    data, syntax = dataset.PixelData, dataset.file_meta.TransferSyntaxUID
    if dataset["PixelData"].is_undefined_length != syntax.is_encapsulated:
        raise DataError(
            "transfer_syntax_contradicts_pixels",
            "compressed pixels are declared plain, or plain ones compressed",
        )
    if syntax.is_encapsulated:
        if header.high_bit != header.bits_stored - 1:
            raise DataError("bits_not_supported", "compressed, and the high bit is not the last stored bit")
        frames = list(generate_frames(data, number_of_frames=header.frames))
        if len(frames) != header.frames:
            raise DataError("pixel_data_unreadable", f"{len(frames)} frames instead of {header.frames}")
        if syntax != RLELossless:
            for frame in frames:
                check_frame(frame, header)
        return
    expected = count * header.bits_allocated // 8
    if header.photometric == "YBR_FULL_422":
        expected = expected * 2 // 3
    if len(data) < expected:
        raise DataError("pixel_data_truncated", f"{len(data)} bytes of {expected}")
    if len(data) > expected + 1:
        raise DataError("pixel_data_too_long", f"{len(data)} bytes for {expected}")


def _meaningful(dataset: Dataset, raw: np.ndarray, header: Header) -> tuple[np.ndarray, np.ndarray | None]:
    """One frame's stored values, and where they are padding (None: nowhere).

    Args:
      raw: [H, W] as decoded.

    Returns:
      int32[H, W], bool[H, W] or None.

    Raises:
      DataError: `bits_beyond_stored`, the file says fewer bits than its values need.
    """
    values = raw.astype(np.int32)
    padded = None
    if header.padding:
        padded = (values >= header.padding[0]) & (values <= header.padding[1])
        padded = padded if padded.any() else None
    low = -(1 << (header.bits_stored - 1)) if header.signed else 0
    high = low + (1 << header.bits_stored) - 1
    below = header.high_bit + 1 - header.bits_stored
    if dataset.file_meta.TransferSyntaxUID in LOSSY:
        return np.clip(
            values, low, high
        ), padded  # a lossy codec may overshoot; masked, white would turn black
    if below == 0 and values.size and low <= values.min() and values.max() <= high:
        return values, padded
    word = values & ((1 << header.bits_allocated) - 1) if header.bits_allocated < 32 else values
    kept = (word >> below) & ((1 << header.bits_stored) - 1)
    if not _overlays_in_pixels(dataset):
        rest = (word >> (header.high_bit + 1)) | ((word & ((1 << below) - 1)) << 16)
        extension = (1 << (header.bits_allocated - header.high_bit - 1)) - 1
        strange = rest != 0
        if header.signed:  # a sign that was extended by the scanner is no strange bit
            strange &= ~((kept >> (header.bits_stored - 1) == 1) & (rest == extension))
        if padded is not None:
            strange &= ~padded
        if strange.any():
            raise DataError("bits_beyond_stored", f"values need more than {header.bits_stored} bits")
    if header.signed:
        kept -= (kept >> (header.bits_stored - 1)) << header.bits_stored
    return kept, padded


def _overlays_in_pixels(dataset: Dataset) -> bool:
    """Old files keep overlays in the unused bits (retired; PS3.5-2004 8.1.2)."""
    return any(
        dataset.get((group, 0x0100)) is not None and (group, 0x3000) not in dataset
        for group in range(0x6000, 0x6020, 2)
    )
