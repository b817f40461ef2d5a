"""Is it the same picture, re-encoded or resized? A fingerprint of each image, and who resembles whom.

volume [D, S, S] ─► 1 or 4 slices ─► 32 x 32 (16 x 16 each) ─► minus the 5 x 5 mean ─► int8[1024]

Two images are one when their fingerprints correlate (>= `min_similarity`) and nothing else comes near: the
rest (1 - r) is at most `max_ratio` of the rest to the 16th likeliest other image (a ratio test, Lowe 2004).
The second half matters where all images are alike, as chests from one machine, or drawn ones, are.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from p2med.imaging.transform import resize

SIZE = 32
RADIUS = 2
SLICES = 4
NEIGHBOUR = 16
CERTAIN = 0.9995
"""From here on the ratio is not asked: more than 16 copies of one image are each other's neighbours."""
ROWS = 1024


def fingerprint(volume: np.ndarray) -> np.ndarray:
    """int8[1024] of a volume [D, H, W]; zeros for one without structure."""
    depth = len(volume)
    if depth < SLICES:
        chosen, size = [depth // 2], SIZE
    else:
        chosen, size = [int((k + 0.5) * depth / SLICES) for k in range(SLICES)], SIZE // 2
    parts = []
    for k in chosen:
        small = resize(volume[k].astype(np.float32), size)
        detail = small - _mean(small)
        detail -= detail.mean()
        length = float(
            np.sqrt((detail * detail).sum(dtype=np.float64))
        )  # not norm: BLAS adds as the processor likes
        parts.append(detail.ravel() / length if length > 1e-6 else np.zeros(size * size, np.float32))
    whole = np.concatenate(parts)
    most = float(np.abs(whole).max())
    return np.round(whole * (127 / most)).astype(np.int8) if most else np.zeros(SIZE * SIZE, np.int8)


def written(volume: np.ndarray) -> str:
    """The fingerprint as hexadecimal digits; "" for an image without structure."""
    mark = fingerprint(volume)
    return mark.tobytes().hex() if mark.any() else ""


def fingerprint_of(digits: str) -> np.ndarray:
    """The inverse of `written`: int8[1024]."""
    return np.frombuffer(bytes.fromhex(digits), np.int8)


def _mean(image: np.ndarray) -> np.ndarray:
    """The mean over a square of 2 RADIUS + 1 pixels around each pixel; edges repeat."""
    side = 2 * RADIUS + 1
    padded = np.pad(np.pad(image, RADIUS, mode="edge"), ((1, 0), (1, 0)))
    sums = padded.cumsum(0, dtype=np.float64).cumsum(1)
    area = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return (area / side**2).astype(np.float32)


def same_images(
    prints: np.ndarray, owners: Sequence[str], min_similarity: float, max_ratio: float
) -> Iterator[tuple[int, int]]:
    """Pairs (i < j) of images of different owners that are one image.

    Args:
      prints: int8[n, 1024]; rows of zeros resemble nothing. owners: the patient of each.
    """
    if len(prints) < 2:
        return
    vectors = prints.astype(
        np.float32
    )  # sums of products stay below 2^24: exact, in whatever order BLAS adds
    lengths = np.maximum(np.sqrt((vectors * vectors).sum(1)), 1)
    number = {o: n for n, o in enumerate(dict.fromkeys(owners))}
    owner = np.array([number[o] for o in owners])
    place = max(1, min(NEIGHBOUR, len(prints) // 4))
    found: set[tuple[int, int]] = set()
    for start in range(0, len(vectors), ROWS):
        likeness = vectors[start : start + ROWS] @ vectors.T
        likeness /= lengths[start : start + ROWS, None]
        likeness /= lengths
        likeness[owner[start : start + ROWS, None] == owner[None]] = 0
        background = np.partition(likeness, -place - 1, axis=1)[:, -place - 1]
        rest = 1 - likeness
        same = (likeness >= min_similarity) & (
            (rest <= max_ratio * (1 - background)[:, None]) | (likeness >= CERTAIN)
        )
        for i, j in zip(*np.nonzero(same), strict=True):
            found.add((min(start + int(i), int(j)), max(start + int(i), int(j))))
    yield from sorted(found)
