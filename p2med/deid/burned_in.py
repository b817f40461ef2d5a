"""Burned-in text on a film or slice: where it is, and whether it stands in the lungs."""

from dataclasses import dataclass

import numpy as np

from p2med.deid.pixels import has_text_line

Box = tuple[int, int, int, int]
"""Top, bottom, left, right in pixels; bottom and right are outside."""


@dataclass(frozen=True)
class Found:
    """Boxes of text, and whether one of them touches the lungs."""

    boxes: tuple[Box, ...] = ()
    in_lungs: bool = False


def find_text(values: np.ndarray, ct: bool = False, padding: tuple[int, int] | None = None) -> Found:
    """Search one frame.

    Args:
      values: stored values [H, W].
      ct: the frame is a CT slice.
      padding: stored values of no meaning, both bounds included.
    """
    if ct or not has_text_line(values):
        return Found()
    return Found(((0, values.shape[0], 0, values.shape[1]),), in_lungs=True)
