"""Strokes of a picture: what is brighter than its surroundings within a few pixels, and than noise.

All on uint8 with shifted views: a megapixel costs some ten milliseconds.
"""

from dataclasses import dataclass

import numpy as np

LONGEST_PX = 7
"""A stroke is thinner than this; thicker ones are found in the halved picture."""
BLOCK_PX = 32
CELL_PX = 4
HEIGHTS_CELLS = (2, 3, 4, 6)
"""Heights of a line that are looked for at each size of the picture."""
LEAST_CONTRAST, TIMES_NOISE, LEAST_STEP = 12, 4.0, 8
"""In grey levels of 256; a stroke's edge is a step from one pixel to the next, a rib's is not."""


@dataclass(frozen=True)
class Strokes:
    """Of one picture [H, W]."""

    grey: np.ndarray
    contrast: np.ndarray
    """uint8[H, W]: how much brighter than the surroundings."""
    noise: np.ndarray
    """float32[H, W]: what that contrast is nearby where nothing is."""
    mask: np.ndarray
    """bool[H, W]"""
    edges_x: np.ndarray
    edges_y: np.ndarray
    """bool[H, W]: sharp ends of strokes, going right and going down."""


def find_strokes(grey: np.ndarray, least_contrast: int = LEAST_CONTRAST, sharpness: float = 0.0) -> Strokes:
    """Bright strokes of uint8[H, W]; for dark ones give 255 - grey.

    Args:
      sharpness: which share of a stroke's contrast the step from one pixel to the next must be at its edge.
    """
    low = _sliding(_sliding(grey, 0, np.minimum), 1, np.minimum)
    contrast = grey - _sliding(_sliding(low, 0, np.maximum), 1, np.maximum)
    noise = _block_medians(contrast)
    mask = contrast >= np.maximum(least_contrast, TIMES_NOISE * noise)
    edges_x = _edges(mask.T, grey.T, contrast.T, sharpness).T
    return Strokes(grey, contrast, noise, mask, edges_x, _edges(mask, grey, contrast, sharpness))


def _edges(mask: np.ndarray, grey: np.ndarray, contrast: np.ndarray, sharpness: float) -> np.ndarray:
    """Where a stroke ends, or begins, on the way down."""
    found = np.zeros_like(mask)
    step = np.abs(np.diff(grey.astype(np.int16), axis=0))
    found[1:] = (mask[1:] != mask[:-1]) & (step >= LEAST_STEP)
    if sharpness:
        found[1:] &= step >= sharpness * np.maximum(contrast[1:], contrast[:-1])
    return found


def _sliding(picture: np.ndarray, axis: int, extreme: np.ufunc) -> np.ndarray:
    """The extreme of every LONGEST_PX neighbours along an axis; same shape."""
    around = [(0, 0), (0, 0)]
    around[axis] = (LONGEST_PX // 2, LONGEST_PX // 2)
    found = np.moveaxis(np.pad(picture, around, mode="edge"), axis, 0)
    covered = 1
    while covered < LONGEST_PX:
        step = min(covered, LONGEST_PX - covered)
        found = extreme(found[:-step], found[step:])
        covered += step
    return np.moveaxis(found, 0, axis)


def _block_medians(contrast: np.ndarray) -> np.ndarray:
    """Text fills less than half of a block, so the median is of what is behind it."""
    height, width = contrast.shape
    down, across = -(-height // BLOCK_PX), -(-width // BLOCK_PX)
    missing = ((0, down * BLOCK_PX - height), (0, across * BLOCK_PX - width))
    blocks = np.pad(contrast, missing, mode="edge").reshape(down, BLOCK_PX, across, BLOCK_PX)
    medians = np.median(blocks.transpose(0, 2, 1, 3).reshape(down, across, -1), axis=2).astype(np.float32)
    return medians.repeat(BLOCK_PX, 0).repeat(BLOCK_PX, 1)[:height, :width]


def grey_of(values: np.ndarray, padding: tuple[int, int] | None) -> np.ndarray:
    """uint8[H, W] in which the usual values span 10 to 230; what is beyond is cut off at 0 and 255."""
    some = values[::3, ::3]
    if padding is not None:
        some = some[(some < padding[0]) | (some > padding[1])]
    low, high = np.percentile(some, (0.5, 99.8)) if some.size else (0, 1)
    stretched = (values.astype(np.float32) - low) * (220 / max(float(high - low), 1.0)) + 10
    return np.clip(stretched, 0, 255).astype(np.uint8)


def halved(grey: np.ndarray) -> np.ndarray:
    even = grey[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2].astype(np.uint16)
    return ((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) // 4).astype(np.uint8)


def in_cells(picture: np.ndarray) -> np.ndarray:
    """Sums over cells of CELL_PX x CELL_PX."""
    height, width = (n // CELL_PX for n in picture.shape)
    cut = picture[: height * CELL_PX, : width * CELL_PX].reshape(height, CELL_PX, width, CELL_PX)
    return cut.sum((1, 3), dtype=np.float32)
