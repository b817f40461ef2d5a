"""The one way from pixels to the network's input; curate, training, `answer` and the server share it."""

import numpy as np
from PIL import Image

from p2med.imaging.spec import ImageSpec


def prepare(array: np.ndarray, unit: str, spec: ImageSpec) -> np.ndarray:
    """Normalise to [0, 1], choose slices, resize.

    Args:
      array: [D, H, W] (or [H, W]); HU, stored grey values, or values already in the unit interval.
      unit: "HU", "stored" or "unit_interval".

    Returns:
      float16[D', S, S] in [0, 1], S = spec.size, D' <= spec.max_slices.

    Raises:
      ValueError: the shape or the unit is not one of these.
    """
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"an image has the shape [D, H, W], got {list(array.shape)}")
    if unit not in ("HU", "stored", "unit_interval"):
        raise ValueError(f"unit must be HU, stored or unit_interval, got {unit!r}")
    array = array[evenly(array.shape[0], spec.max_slices)]
    if unit == "HU":
        shown = window(array, spec.window_level_hu, spec.window_width_hu)
    elif unit == "stored":
        shown = stretch(array, spec.low_percentile, spec.high_percentile)
    else:
        shown = np.clip(array.astype(np.float32), 0.0, 1.0)
    return np.stack([resize(s, spec.size) for s in shown]).astype(np.float16)


def window(hu: np.ndarray, level: float = -500.0, width: float = 1200.0) -> np.ndarray:
    """Map CT density to display brightness.

    Args:
      hu: int16|float32[..., H, W], Hounsfield units (rescale slope and intercept applied).
      level: centre of the window, HU.
      width: full width of the window, HU; > 0.

    Returns:
      float32[..., H, W] in [0, 1]; 0 at level - width/2 and below, 1 at level + width/2 and above.

    Raises:
      ValueError: `width` is not positive.

    Source: P2Med, Sec. V-C.1 (-500, 1200); the ramp is DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT.
    """
    if width <= 0:
        raise ValueError(f"window width must be > 0 HU, got {width}")
    low = level - width / 2
    return np.clip((hu.astype(np.float32) - low) / width, 0.0, 1.0)


def stretch(grey: np.ndarray, low_percentile: float = 1.0, high_percentile: float = 99.0) -> np.ndarray:
    """Map stored grey values to [0, 1] between two percentiles of the image itself.

    Args:
      grey: [..., H, W], stored values, bright = dense.

    Returns:
      float32[..., H, W]; all zeros when the image has one value only.

    Source: our choice; the paper is silent on radiographs.
    """
    low, high = np.percentile(grey, [low_percentile, high_percentile])
    if high <= low:  # nearly all pixels share one value: use the whole range
        low, high = float(grey.min()), float(grey.max())
    if high <= low:
        return np.zeros(grey.shape, np.float32)
    return np.clip((grey.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0.0, 1.0)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Antialiased bilinear resize; the aspect ratio is not kept (P2Med, Sec. V-C.1).

    Args:
      image: float32[H, W].

    Returns:
      float32[size, size]; the same kernel as torch's `interpolate(mode="bilinear", antialias=True)`.
    """
    if image.shape == (size, size):
        return image.astype(np.float32)
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32), mode="F")
    smaller = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return np.clip(smaller, image.min(), image.max())


def evenly(count: int, at_most: int | None) -> np.ndarray:
    """The middles of `at_most` equal stretches of `count` slices; all slices when they are few enough."""
    if at_most is None or count <= at_most:
        return np.arange(count)
    return ((np.arange(at_most) + 0.5) * count / at_most).astype(int)
