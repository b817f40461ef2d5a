"""Burned-in text on a film or slice, found without a model: many sharp strokes side by side in a small place.

A rib, a tube or a vessel is one stroke; within its own height a line of characters changes between dark and
bright several times, in both directions, and its strokes have one grey. A side marker (R, L, AP) is too short
to be a line, and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from p2med.deid.burned_in_ct import text_on_slice
from p2med.deid.strokes import CELL_PX, HEIGHTS_CELLS, Strokes, find_strokes, grey_of, halved, in_cells

Box = tuple[int, int, int, int]
"""Top, bottom, left, right in pixels; bottom and right are outside."""
HALVINGS = 2
SMALLEST_SIDE_PX = 48
LARGEST_SIDE_PX = 2400
LEAST_EDGES_X, LEAST_EDGES_Y = 1.3, 0.8
"""Edges of strokes that a line of text is long, in its own height: across, and down."""
TEXT_SCORE = 20.0
"""Of burned-in strings hardly one is below 25, of other places few are above 15 (bench/deid_pixels.md)."""
TALL, TALL_SCORE = 0.4, 23.0
"""As a share of the picture's height: anatomy, or text that touches much of it."""
PART_SCORE = 8.0
"""Beside a line of text this is a part of it."""
NARROWEST_LINE = 1.2
"""Width in heights: R is narrower, two hanzi are 2."""
LUNGS_TOP, LUNGS_BOTTOM, LUNGS_HALF_WIDTH = 0.12, 0.88, 0.42
SHOULDERS = (0.25, 0.35)
"""Where the lungs of any chest film lie, as shares of its size; from 0.25 beside the middle on, the top
sinks to 0.35, for there are shoulders, and markers over them."""


@dataclass(frozen=True)
class Found:
    """Boxes of text, and whether one of them touches the lungs."""

    boxes: tuple[Box, ...] = ()
    in_lungs: bool = False


@dataclass
class _Line:
    """What may be a line of text, at one size of the picture."""

    box: Box
    score: float


def find_text(values: np.ndarray, ct: bool = False, padding: tuple[int, int] | None = None) -> Found:
    """Search one frame.

    Args:
      values: stored values [H, W], of any polarity.
      ct: the frame is a CT slice; text on it is found, but not where it is.
      padding: stored values of no meaning, both bounds included.
    """
    if ct:
        whole = (0, values.shape[0], 0, values.shape[1])
        return Found((whole,), True) if text_on_slice(values, padding) else Found()
    grey, size = grey_of(values, padding), 1
    while max(grey.shape) > LARGEST_SIDE_PX:
        grey, size = halved(grey), size * 2
    boxes: list[Box] = []
    for _ in range(HALVINGS + 1):
        if min(grey.shape) < SMALLEST_SIDE_PX:
            break
        found = [b for one in (grey, 255 - grey) for b in _text_lines(find_strokes(one))]
        larger = [_enlarged(b, size, values.shape) for b in found]
        boxes += [b for b in larger if not _is_known(b, boxes)]
        grey, size = halved(grey), size * 2
    kept = tuple(b for b in dict.fromkeys(boxes) if not any(_inside(b, other) for other in boxes))
    return Found(kept, any(_touches_lungs(b, values.shape) for b in kept))


def _is_known(box: Box, finer: list[Box]) -> bool:
    """True when the finer picture showed the same line: there it runs less into its neighbours."""
    columns = np.zeros(box[3] - box[2], bool)
    for top, bottom, left, right in finer:
        if _inside((top, bottom, max(left, box[2]), min(right, box[3])), box):
            columns[max(0, left - box[2]) : max(0, right - box[2])] |= 4 * (bottom - top) > box[1] - box[0]
    return bool(columns.mean() > 0.75)


# ---------------------------------------------------------------- lines


def _text_lines(strokes: Strokes) -> Iterator[Box]:
    lines = list(_lines(strokes))
    parts = [x.box for x in lines if x.score >= PART_SCORE]
    for line in lines:
        tall = line.box[1] - line.box[0] > TALL * strokes.mask.shape[0]
        if line.score >= (TALL_SCORE if tall else TEXT_SCORE):
            box = _joined_with_all(line.box, parts)
            if not _is_marker(box, strokes.mask):
                yield _grown(box, strokes.mask)


def _lines(strokes: Strokes) -> Iterator[_Line]:
    edges_x, edges_y = in_cells(strokes.edges_x), in_cells(strokes.edges_y)
    places = np.zeros(edges_x.shape, bool)
    most_x, most_y = np.zeros(edges_x.shape, np.float32), np.zeros(edges_x.shape, np.float32)
    for height in HEIGHTS_CELLS:
        window = (height, 2 * height)
        if edges_x.shape[0] < window[0] or edges_x.shape[1] < window[1]:
            continue
        per_height = height / CELL_PX
        x = ndimage.uniform_filter(edges_x, window, mode="constant") * per_height
        y = ndimage.uniform_filter(edges_y, window, mode="constant") * per_height
        here = (x >= LEAST_EDGES_X) & (y >= LEAST_EDGES_Y)
        if here.any():
            most_x, most_y = np.maximum(most_x, x * here), np.maximum(most_y, y * here)
            places |= ndimage.binary_dilation(here, np.ones(window))
    labels, _ = ndimage.label(places, np.ones((3, 3)))
    for number, cells in enumerate(ndimage.find_objects(labels), 1):
        mine = labels[cells] == number
        density = float(most_x[cells][mine].max() * most_y[cells][mine].max())
        rows, columns = (slice(max(0, (c.start - 1) * CELL_PX), (c.stop + 1) * CELL_PX) for c in cells)
        line = _line(strokes, rows, columns, density)
        if line is not None:
            yield line


def _line(strokes: Strokes, rows: slice, columns: slice, density: float) -> _Line | None:
    """Its tight box, and how much it looks like text: edges in both directions, contrast, one grey."""
    mask = strokes.mask[rows, columns]
    # Specks of noise do not make a line longer.
    solid = mask & (ndimage.uniform_filter(mask.astype(np.float32), 3, mode="constant") > 2.5 / 9)
    high, wide = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(high):
        return None
    grey = strokes.grey[rows, columns]
    ridges = mask & (ndimage.maximum_filter(grey, 3) == grey)
    at = ridges if ridges.sum() >= 5 else mask
    contrast = float(np.median(strokes.contrast[rows, columns][at]))
    over_noise = contrast / max(1.0, float(np.median(strokes.noise[rows, columns])))
    uneven = float(grey[at].std()) / max(1.0, contrast)
    top, left = rows.start, columns.start
    box = (top + int(high[0]), top + int(high[-1]) + 1, left + int(wide[0]), left + int(wide[-1]) + 1)
    return _Line(box, density * min(over_noise, 40.0) ** 0.5 / (0.5 + min(uneven, 1.0)))


# ---------------------------------------------------------------- boxes


def _joined_with_all(box: Box, parts: list[Box]) -> Box:
    """The whole line of which this is a part: what stands beside it at its height."""
    before = None
    while box != before:
        before = box
        for part in parts:
            box = _joined(box, part)
    return box


def _grown(box: Box, mask: np.ndarray) -> Box:
    """With the loose strokes at both ends: a hyphen, a comma, the rest of a date."""
    top, bottom, left, right = box
    columns, height = mask[top:bottom].any(0), bottom - top
    return top, bottom, left - _reach(columns[:left][::-1], height), right + _reach(columns[right:], height)


def _joined(box: Box, other: Box) -> Box:
    top, bottom, left, right = box
    height, other_height = bottom - top, other[1] - other[0]
    beside = other[2] <= right + 1.5 * height and other[3] >= left - 1.5 * height
    level = min(other[1], bottom) - max(other[0], top) > 0.6 * max(other_height, height)
    if not (beside and level):
        return box
    return min(top, other[0]), max(bottom, other[1]), min(left, other[2]), max(right, other[3])


def _is_marker(box: Box, mask: np.ndarray) -> bool:
    """One letter or sign: narrow, and not several lines above each other."""
    top, bottom, left, right = box
    if right - left >= NARROWEST_LINE * (bottom - top):
        return False
    rows = mask[top:bottom, left:right].any(1)
    gaps = np.flatnonzero(np.diff(rows.astype(np.int8)) == -1)
    return len(gaps) == 0


def _reach(columns: np.ndarray, height: int) -> int:
    """How far strokes go on, at most two heights, without a gap of two thirds of one."""
    reach = 0
    for at in np.flatnonzero(columns[: 2 * height]):
        if at - reach > 0.67 * height:
            break
        reach = int(at) + 1
    return reach


def _enlarged(box: Box, size: int, shape: tuple[int, ...]) -> Box:
    """Back to the pixels of the frame, with a little more on every side."""
    more = 2 + (box[1] - box[0]) // 8
    top, bottom, left, right = ((v + d * more) * size for v, d in zip(box, (-1, 1, -1, 1), strict=True))
    return max(0, top), min(shape[0], bottom), max(0, left), min(shape[1], right)


def _inside(box: Box, other: Box) -> bool:
    return box != other and all(
        (other[0] <= box[0], box[1] <= other[1], other[2] <= box[2], box[3] <= other[3])
    )


def _touches_lungs(box: Box, shape: tuple[int, ...]) -> bool:
    height, width = shape[:2]
    nearest = min(max(width / 2, box[2]), box[3])
    beside = abs(nearest / width - 0.5)
    start, depth = SHOULDERS
    sunk = max(0.0, (beside - start) / (LUNGS_HALF_WIDTH - start))
    top = LUNGS_TOP + sunk * (depth - LUNGS_TOP)
    return beside < LUNGS_HALF_WIDTH and box[1] > top * height and box[0] < LUNGS_BOTTOM * height
