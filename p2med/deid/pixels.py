"""Burned-in text on a film, found without a model: strokes that stand out locally, in a row, of one height.

A side marker (R, L, AP) is up to three characters and stays; a name, a number or a date is a longer row.
"""

import numpy as np
from scipy import ndimage

STAND_OUT = 0.22
"""How much brighter or darker than its surroundings a stroke is, as a share of the film's range."""
FEWEST_CHARACTERS = 5
SMALLEST_PX, LARGEST_PX = 5, 80
LARGEST_SIDE_PX = 1400
"""Larger films are halved until they fit: text that a person can read there survives it."""


def has_text_line(film: np.ndarray) -> bool:
    """True when the film [H, W] seems to hold a line of text.

    Args:
      film: stored grey values of any type.
    """
    grey = film.astype(np.float32)
    while max(grey.shape) > LARGEST_SIDE_PX:
        even = grey[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2]
        grey = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))
    low, high = np.percentile(grey, (0.5, 99.8))
    if high <= low:
        return False
    grey = np.clip((grey - low) / (high - low), 0, 1.2)
    around = ndimage.uniform_filter(grey, size=max(15, max(grey.shape) // 16))
    return _has_row(grey - around > STAND_OUT) or _has_row(around - grey > STAND_OUT)


def _has_row(strokes: np.ndarray) -> bool:
    labels, count = ndimage.label(strokes, structure=np.ones((3, 3)))
    if count < FEWEST_CHARACTERS:
        return False
    boxes = []
    for n, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not SMALLEST_PX <= height <= LARGEST_PX or width > 1.6 * height:
            continue
        filled = float((labels[rows, columns] == n).mean())
        if 0.15 <= filled <= 0.95:
            boxes.append((columns.start, columns.stop, rows.start, rows.stop))
    boxes.sort()
    return any(_row_length(boxes, i) >= FEWEST_CHARACTERS for i in range(len(boxes)))


def _row_length(boxes: list[tuple[int, int, int, int]], first: int) -> int:
    """How many characters follow each other from this one on: same height, same line, small gaps."""
    length, last = 1, boxes[first]
    height = last[3] - last[2]
    for box in boxes[first + 1 :]:
        if box[0] - last[1] > 1.3 * height:
            break
        same_height = 0.6 * height <= box[3] - box[2] <= 1.6 * height
        same_line = abs(box[3] - last[3]) <= 0.3 * height or abs(box[2] - last[2]) <= 0.3 * height
        if same_height and same_line and box[0] >= last[1] - 2:
            length, last = length + 1, box
    return length
