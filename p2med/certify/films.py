"""Text drawn into pixels, and whether it can still be read in what deid wrote."""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy import ndimage

VISIBLE = 0.25
"""A stroke is taken for readable when this share of its contrast is left."""


@dataclass(frozen=True)
class Strokes:
    """Where the text stands: rows and columns of the strokes [H, W] in the frame, and its contrast."""

    top: int
    left: int
    mask: np.ndarray
    contrast: float


def burn(dataset: FileDataset, text: str, rng: random.Random) -> Strokes | None:
    """Draw a line of text into a frame, in place; None when the pixels are no single grey frame."""
    if dataset.get("NumberOfFrames", 1) not in (None, 1, "1") or int(dataset.get("SamplesPerPixel", 1)) != 1:
        return None
    array = dataset.pixel_array.copy()
    mask = _rendered(text, array.shape, rng)
    if mask is None:
        return None
    h, w = mask.shape
    top = rng.choice((int(array.shape[0] * 0.02), int(array.shape[0] * 0.97) - h))
    left = rng.choice((int(array.shape[1] * 0.02), max(0, int(array.shape[1] * 0.97) - w)))
    box = array[top : top + h, left : left + w]
    low, high = int(array.min()), int(array.max())
    if high <= low:
        return None
    box[mask] = high if box.mean() - low < (high - low) / 2 else low
    dataset.PixelData = array.tobytes()
    dataset["PixelData"].VR = "OW" if array.dtype.itemsize > 1 else "OB"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return Strokes(top, left, mask, contrast(array, top, left, mask))


def _rendered(text: str, shape: tuple[int, ...], rng: random.Random) -> np.ndarray | None:
    """The text as strokes [h, w], at most 9/10 of the frame wide, at least 9 pixels high."""
    size = max(12, round(shape[0] * rng.uniform(0.02, 0.045)))
    while size >= 9:
        font = ImageFont.load_default(size)
        left, top, right, bottom = (int(v) for v in font.getbbox(text))
        if right - left <= 0.9 * shape[1]:
            page = Image.new("L", (right - left + 2, bottom - top + 2))
            ImageDraw.Draw(page).text((1 - left, 1 - top), text, font=font, fill=255)
            return np.asarray(page) > 127
        size -= 1
    return None


def contrast(frame: np.ndarray, top: int, left: int, mask: np.ndarray) -> float:
    """How far the strokes stand out of what is just beside them, as a share of the frame's range."""
    box = frame[top : top + mask.shape[0], left : left + mask.shape[1]].astype(np.float64)
    beside = ndimage.binary_dilation(mask, iterations=2) & ~mask
    spread = float(np.ptp(frame.astype(np.float64)))
    if spread == 0 or box.shape != mask.shape:
        return 0.0
    return abs(float(box[mask].mean() - box[beside].mean())) / spread


def readable(volume: np.ndarray, strokes: Strokes) -> bool:
    """True when the text is still in any slice of a volume [D, H, W]."""
    seen = (contrast(s, strokes.top, strokes.left, strokes.mask) for s in volume)
    return max(seen, default=0.0) > VISIBLE * strokes.contrast
