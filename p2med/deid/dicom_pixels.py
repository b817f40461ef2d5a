"""The pixels of a clean DICOM file: decoded, searched for text, blotted, encoded anew."""

from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from p2med.deid.burned_in import find_text
from p2med.errors import PhiError
from p2med.imaging.decode import luminance, stored_values
from p2med.imaging.header import ENHANCED_CT, Header

BurnedIn = Literal["mask", "reject", "keep"]
_LOSSY = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
}


def write_pixels(
    source: Dataset, clean: Dataset, header: Header, blob: bytes, burned_in: BurnedIn, ocr: bool = False
) -> int:
    """Decoded values, encoded anew: no comment of a codec, no overlay in unused bits, no trailing bytes.

    Returns:
      How many boxes of text were blotted.

    Raises:
      DataError: see imaging.decode. PhiError: `photometric_not_supported`; `burned_in_text` when text was
        found that may not, or cannot, be blotted.
    """
    values = stored_values(source, header, blob)
    photometric = header.photometric
    if values.ndim == 4:
        values = luminance(values)
        photometric = "MONOCHROME2"
    elif photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise PhiError("photometric_not_supported", "neither grey nor RGB nor YBR")
    blots = blot_text(values, header.modality == "CT", header.padding, burned_in, ocr)
    _describe_pixels(source, clean, header, photometric)
    kind = "i" if header.signed else "u"
    data = np.ascontiguousarray(values).astype(f"<{kind}{clean.BitsAllocated // 8}").tobytes()
    clean.add_new("PixelData", "OW" if clean.BitsAllocated == 16 else "OB", data + b"\0" * (len(data) % 2))
    return blots


def blot_text(
    values: np.ndarray, ct: bool, padding: tuple[int, int] | None, burned_in: BurnedIn, ocr: bool = False
) -> int:
    """Search every frame of [F, H, W], and blot in place what may be blotted.

    Text on a CT slice never is, for its neighbours may hold the same, fainter.

    Returns:
      How many boxes were blotted.

    Raises:
      PhiError: `burned_in_text`.
    """
    if burned_in == "keep":
        return 0
    blots = 0
    for frame in values:
        found = find_text(frame, ct, padding, ocr)
        if found.boxes and (burned_in == "reject" or ct or found.in_lungs):
            raise PhiError("burned_in_text", "the picture seems to hold text")
        for box in found.boxes:
            blot(frame, box)
        blots += len(found.boxes)
    return blots


def _describe_pixels(source: Dataset, clean: Dataset, header: Header, photometric: str) -> None:
    clean.SamplesPerPixel, clean.PhotometricInterpretation = 1, photometric
    clean.Rows, clean.Columns = header.rows, header.columns
    if header.frames > 1 or header.sop_class_uid == ENHANCED_CT:
        clean.NumberOfFrames = header.frames
    clean.BitsAllocated = 8 if header.bits_stored <= 8 and header.modality != "CT" else 16
    clean.BitsStored, clean.HighBit = header.bits_stored, header.bits_stored - 1
    clean.PixelRepresentation = int(header.signed)
    if header.padding:
        _put_padding(clean, header)
    syntax = source.file_meta.TransferSyntaxUID
    was_lossy = str(source.get("LossyImageCompression") or "").strip() == "01"
    lossy = was_lossy or (syntax.is_compressed and syntax in _LOSSY)
    if lossy or "LossyImageCompression" in source:
        clean.LossyImageCompression = "01" if lossy else "00"


def blot(frame: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Fill a box of values [H, W] in place with the middle value of its border: flat, nothing to read."""
    top, bottom, left, right = box
    ring = np.concatenate(
        [
            frame[top, left:right],
            frame[bottom - 1, left:right],
            frame[top:bottom, left],
            frame[top:bottom, right - 1],
        ]
    )
    frame[top:bottom, left:right] = np.sort(ring)[len(ring) // 2]


def _put_padding(clean: Dataset, header: Header) -> None:
    assert header.padding is not None
    first, last = header.padding
    vr = "SS" if header.signed else "US"
    low, high = (-32768, 32767) if header.signed else (0, 65535)
    if low <= first <= last <= high:
        clean.add_new("PixelPaddingValue", vr, first)
        if last != first:
            clean.add_new("PixelPaddingRangeLimit", vr, last)
