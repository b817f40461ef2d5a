"""What reading a file gives: an array with its unit and its technical facts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from p2med.imaging.header import Header

OrderRule = Literal["single", "image_position_patient", "slice_location", "instance_number"]


@dataclass(frozen=True)
class Pixels:
    """One series or picture.

    array: [D, H, W]; int16 HU for CT, uint8 or uint16 stored grey values for a radiograph (bright = dense).
    spacing_mm: z, y, x; None when the file does not say.
    """

    array: np.ndarray
    unit: Literal["HU", "stored"]
    spacing_mm: tuple[float, float, float] | None = None
    header: Header | None = None
    """Of the first slice; None for a picture."""
    order_rule: OrderRule = "single"
    """What the slices were sorted by."""
    even: bool = True
    """False: the distances between neighbouring slices differ by more than a tenth."""
    corrected: tuple[str, ...] = ()
    """What was put right: copies_dropped, transposed, rows_flipped, columns_flipped."""
