"""Burned-in text on a film or slice, found without a model: many sharp strokes side by side in a small place.

A rib, a tube or a vessel is one stroke; within its own height a line of characters changes between dark and
bright several times, in both directions, and its strokes have one grey. Each place is judged by a window of
its own, so that bones beside a word take nothing off its score. A side marker (R, L, AP) is too short to be a
line, and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from p2med.deid.burned_in_ct import text_on_slice
from p2med.deid.burned_in_ocr import read_boxes
from p2med.deid.strokes import CELL_PX, HEIGHTS_CELLS, Strokes, find_strokes, grey_of, halved, in_cells

Box = tuple[int, int, int, int]
"""Top, bottom, left, right in pixels; bottom and right are outside."""
HALVINGS = 2
SMALLEST_SIDE_PX, SMALLEST_HALVED_PX = 48, 200
"""In a smaller halved picture ribs are as thin and sharp as strokes."""
LARGEST_SIDE_PX = 2400
LEAST_EDGES_X, LEAST_EDGES_Y = 1.3, 0.8
"""Edges of strokes that a line of text is long, in its own height: across, and down."""
TEXT_SCORE, COARSE_SCORE = 27.0, 38.0
"""Of burned-in strings hardly one is below 30; of lungs and bones few are above 25, and above 35 in a halved
picture, where ribs are as thin as strokes (bench/deid_pixels.md)."""
PART_SCORE = 16.0
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
    core: tuple[int, int]
    """Height and width of the part that is text without doubt."""


def find_text(
    values: np.ndarray, ct: bool = False, padding: tuple[int, int] | None = None, ocr: bool = False
) -> Found:
    """Search one frame.

    Args:
      values: stored values [H, W], of any polarity.
      ct: the frame is a CT slice; text on it is found, but not where it is.
      padding: stored values of no meaning, both bounds included.
      ocr: what RapidOCR's detector finds counts as well.
    """
    if ct:
        whole = (0, values.shape[0], 0, values.shape[1])
        seen = text_on_slice(values, padding) or (ocr and bool(read_boxes(grey_of(values, padding))))
        return Found((whole,), True) if seen else Found()
    grey, size = grey_of(values, padding), 1
    while max(grey.shape) > LARGEST_SIDE_PX:
        grey, size = halved(grey), size * 2
    by_ocr = [_enlarged(b, size, values.shape) for b in read_boxes(grey)] if ocr else []
    boxes: list[Box] = []
    for halvings in range(HALVINGS + 1):
        if min(grey.shape) < (SMALLEST_HALVED_PX if halvings else SMALLEST_SIDE_PX):
            break
        least = COARSE_SCORE if halvings else TEXT_SCORE
        found = [b for one in (grey, 255 - grey) for b in _text_lines(find_strokes(one), least)]
        larger = [_enlarged(b, size, values.shape) for b in found]
        boxes += [_as_known(b, boxes) for b in larger]
        grey, size = halved(grey), size * 2
    boxes += by_ocr
    kept = tuple(b for b in dict.fromkeys(boxes) if not any(_inside(b, other) for other in boxes))
    return Found(kept, any(_touches_lungs(b, values.shape) for b in kept))


def _as_known(box: Box, finer: list[Box]) -> Box:
    """With the rows that the finer picture showed of the same line: there it meets fewer neighbours."""
    columns, same = np.zeros(box[3] - box[2], bool), []
    for top, bottom, left, right in finer:
        within = top, bottom, max(left, box[2]), min(right, box[3])
        if _inside(within, box) and within[2] < within[3] and 4 * (bottom - top) > box[1] - box[0]:
            columns[within[2] - box[2] : within[3] - box[2]] = True
            same.append(within)
    if columns.mean() <= 0.75:
        return box
    return min(b[0] for b in same), max(b[1] for b in same), box[2], box[3]


# ---------------------------------------------------------------- lines


def _text_lines(strokes: Strokes, least: float) -> Iterator[Box]:
    lines = list(_lines(strokes, least))
    parts = [x.box for x in lines]
    for line in lines:
        if line.score >= least:
            box = _joined_with_all(line.box, parts)
            if not (_is_narrow(*line.core) and _is_marker(box, strokes.mask)):
                yield _grown(box, strokes.mask)


def _lines(strokes: Strokes, least: float) -> Iterator[_Line]:
    """Places that look like text, each with the score of its best window."""
    grids = list(_scores(strokes))
    if not grids:
        return
    score = np.maximum.reduce([s for _, s in grids])
    places, surely = (
        np.logical_or.reduce([_windows(s >= score_of, w) for w, s in grids])
        for score_of in (PART_SCORE, least)
    )
    labels, _ = ndimage.label(places, np.ones((3, 3)))
    for number, cells in enumerate(ndimage.find_objects(labels), 1):
        mine = labels[cells] == number
        rows, columns = (slice(max(0, c.start - 1) * CELL_PX, (c.stop + 1) * CELL_PX) for c in cells)
        box = _tight(strokes.mask, rows, columns)
        if box is not None:
            best = float(score[cells][mine].max())
            core = (surely[cells] & mine).repeat(CELL_PX, 0).repeat(CELL_PX, 1)
            yield _Line(box, best, _shape_of(strokes.mask, cells, core))


def _windows(centres: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """Every cell of the windows with these centres, as uniform_filter lays them."""
    return ndimage.maximum_filter(centres, window, origin=[(n % 2) - 1 for n in window], mode="constant")


def _scores(strokes: Strokes) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """How much every window of a height looks like text: edges both ways, contrast, one grey."""
    ridges = strokes.mask & (ndimage.maximum_filter(strokes.grey, 3) == strokes.grey)
    grey = np.where(ridges, strokes.grey, np.float32(0))
    contrast = np.where(ridges, strokes.contrast, np.float32(0))
    noise = strokes.noise / CELL_PX**2
    sums = [in_cells(x) for x in (strokes.edges_x, strokes.edges_y, ridges, grey, grey**2, contrast, noise)]
    for height in HEIGHTS_CELLS:
        window = (height, 2 * height)
        if min(sums[0].shape) < window[1]:
            continue
        x, y = (ndimage.uniform_filter(s, window, mode="constant") * (height / CELL_PX) for s in sums[:2])
        here = (x >= LEAST_EDGES_X) & (y >= LEAST_EDGES_Y)
        if not here.any():
            continue
        count, total, squares, above, noise = (
            ndimage.uniform_filter(s, window, mode="constant") for s in sums[2:]
        )
        count = np.maximum(count, 1e-6)
        above = above / count
        uneven = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0)) / np.maximum(above, 1)
        over_noise = np.minimum(above / np.maximum(noise, 1), 40)
        yield window, here * x * y * np.sqrt(over_noise) / (0.5 + np.minimum(uneven, 1))


def _shape_of(mask: np.ndarray, cells: tuple[slice, slice], core: np.ndarray) -> tuple[int, int]:
    """Height and width in pixels of the strokes in a part of some cells."""
    rows, columns = (slice(c.start * CELL_PX, c.stop * CELL_PX) for c in cells)
    box = _tight(mask[rows, columns] & core, slice(0, None), slice(0, None))
    return (0, 0) if box is None else (box[1] - box[0], box[3] - box[2])


def _tight(mask: np.ndarray, rows: slice, columns: slice) -> Box | None:
    """The box of what stands in a part of the picture; specks of noise do not make it longer."""
    part = mask[rows, columns]
    solid = part & (ndimage.uniform_filter(part.astype(np.float32), 3, mode="constant") > 2.5 / 9)
    high, wide = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(high):
        return None
    top, left = rows.start, columns.start
    return top + int(high[0]), top + int(high[-1]) + 1, left + int(wide[0]), left + int(wide[-1]) + 1


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
    if not _is_narrow(bottom - top, right - left):
        return False
    rows = mask[top:bottom, left:right].any(1)
    gaps = np.flatnonzero(np.diff(rows.astype(np.int8)) == -1)
    return len(gaps) == 0


def _is_narrow(height: int, width: int) -> bool:
    return width < NARROWEST_LINE * height


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
