"""Burned-in text on a CT slice: strokes with edges of one pixel and one value, many in a small place.

Ribs, vessels and the table are strokes too, but a scanner blurs them; what was drawn afterwards is sharp.
Text that was blurred with the picture (scaled, stored lossily) is not found here.
"""

import numpy as np
from scipy import ndimage

from p2med.deid.strokes import CELL_PX, HEIGHTS_CELLS, find_strokes, grey_of, halved, in_cells

SIZES = 2
SMALLEST_HALVED_PX = 100
"""In a smaller picture ribs are as sharp as strokes, and text that needs halving has hardly room."""
LEAST_CONTRAST = 30
SHARPNESS = 0.75
"""At 0.6 two slices in a hundred have a rib that looks so, at 0.75 none (bench/deid_pixels.md)."""
LEAST_EDGES_X, LEAST_EDGES_Y, LEAST_RIDGE_PX = 1.8, 1.2, 14
MOST_UNEVEN = 0.25
"""Of the strokes' values, as a share of their contrast."""


def text_on_slice(values: np.ndarray, padding: tuple[int, int] | None = None) -> bool:
    """True when a slice [H, W] of stored values seems to hold text."""
    grey = grey_of(values, padding)
    exact = values.astype(np.float32)
    for _ in range(SIZES):
        for one, sign in ((grey, 1), (255 - grey, -1)):
            if _has_line(one, sign * exact):
                return True
        if min(grey.shape) < 2 * SMALLEST_HALVED_PX:
            break
        grey, exact = halved(grey), _halved_exact(exact)
    return False


def _has_line(grey: np.ndarray, exact: np.ndarray) -> bool:
    strokes = find_strokes(grey, LEAST_CONTRAST, SHARPNESS)
    if not strokes.edges_x.any():
        return False
    # Not of grey: everything beyond its range has one grey.
    ridges = strokes.mask & (ndimage.maximum_filter(exact, 3) == exact)
    middle = float(exact.mean())
    values = np.where(ridges, exact - middle, 0)
    height, width = (n // CELL_PX * CELL_PX for n in grey.shape)
    around = (exact - _opened(exact))[:height, :width]
    sums = [in_cells(x) for x in (strokes.edges_x, strokes.edges_y, ridges, values, values**2)]
    sums.append(in_cells(np.where(ridges[:height, :width], around, 0)))
    for cells in HEIGHTS_CELLS:
        window = (cells, 2 * cells)
        if min(sums[0].shape) < window[1]:
            continue
        x, y, count, total, squares, contrast = (
            ndimage.uniform_filter(s, window, mode="constant") for s in sums
        )
        area = window[0] * window[1]
        per_height = cells / CELL_PX
        here = (x * per_height >= LEAST_EDGES_X) & (y * per_height >= LEAST_EDGES_Y)
        here &= count * area >= LEAST_RIDGE_PX
        if here.any():
            count, total, squares, contrast = (s[here] for s in (count, total, squares, contrast))
            uneven = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
            if (uneven <= MOST_UNEVEN * contrast / count).any():
                return True
    return False


def _opened(exact: np.ndarray) -> np.ndarray:
    return ndimage.maximum_filter(ndimage.minimum_filter(exact, 7), 7)


def _halved_exact(exact: np.ndarray) -> np.ndarray:
    even = exact[: exact.shape[0] // 2 * 2, : exact.shape[1] // 2 * 2]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
