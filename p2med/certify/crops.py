"""The pieces of a film in which deid suspects text, as PNG."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from p2med.deid.burned_in import find_text
from p2med.errors import DataError
from p2med.files import resolve
from p2med.imaging.dicom import read_series
from p2med.imaging.picture import read_picture
from p2med.imaging.source import read_bytes, split_pointer

MARGIN_PX = 8
LARGEST_PX = 640
MOST = 6


def crops(pointers: Sequence[str], root: Path) -> list[bytes]:
    """At most MOST pieces of the first frame; a film that cannot be read any more has none."""
    file, member = split_pointer(pointers[0])
    real = str(resolve(file, root)) + (f"!{member}" if member else "")
    try:
        pixels = (
            read_series([real]) if file.endswith(".dcm") or not member else read_picture(read_bytes(real))
        )
    except DataError:
        return []
    frame = pixels.array[0]
    boxes = find_text(frame, ct=pixels.unit == "HU").boxes[:MOST]
    return [_png(frame, box) for box in boxes]


def _png(frame: np.ndarray, box: tuple[int, int, int, int]) -> bytes:
    top, bottom, left, right = box
    top, left = max(0, top - MARGIN_PX), max(0, left - MARGIN_PX)
    piece = frame[top : bottom + MARGIN_PX, left : right + MARGIN_PX].astype(np.float32)
    low, high = float(piece.min()), float(piece.max())
    grey = ((piece - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    image = Image.fromarray(grey)
    image.thumbnail((LARGEST_PX, LARGEST_PX))
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
