"""The films: a chest phantom in which the truth is drawn, on X-ray and CT alike.

Coordinates: x from -1 (the child's right, left on the film) to 1, y from -1 (apex) to 1 (abdomen), on CT
also d from -1 (front) to 1 (back). A lesion has one place in (x, d, y), which both kinds of picture show.
"""

import math
from functools import lru_cache

import numpy as np
from PIL import Image

from p2med.schema.base import Frozen
from p2med.synth.functions import cos, exp, sin
from p2med.synth.illness import Lungs

LUNG_X, LUNG_RX, LUNG_RY = 0.40, 0.28, 0.62
LOBE_PLACE = {  # x, d, y
    "右肺上叶": (-0.40, -0.1, -0.42),
    "右肺中叶": (-0.36, -0.3, 0.06),
    "右肺下叶": (-0.42, 0.3, 0.34),
    "左肺上叶": (0.40, -0.1, -0.38),
    "左肺下叶": (0.44, 0.3, 0.34),
}
AIR, LUNG, EMPHYSEMA, FAT, SOFT, CONTRAST, BONE = -1000.0, -810.0, -900.0, -90.0, 45.0, 190.0, 420.0


class Anatomy(Frozen):
    """How this child differs from the mean one, the same on every film."""

    scale: float
    heart: float
    lung_width: float
    diaphragm: float
    ribs: float
    blobs: tuple[tuple[float, float, float, float], ...]
    """Places of patchy lesions: x, d, y, radius; the first are used when there are few."""


def make_anatomy(rng: np.random.Generator) -> Anatomy:
    blobs = [
        (
            float(rng.uniform(0.22, 0.58)),
            float(rng.uniform(-0.3, 0.45)),
            float(rng.uniform(-0.1, 0.46)),
            float(rng.uniform(0.05, 0.085)),
        )
        for _ in range(16)
    ]
    return Anatomy(
        scale=float(rng.uniform(0.94, 1.06)),
        heart=float(rng.uniform(0.9, 1.15)),
        lung_width=float(rng.uniform(0.92, 1.08)),
        diaphragm=float(rng.uniform(-0.04, 0.04)),
        ribs=float(rng.uniform(0, 1)),
        blobs=tuple(blobs),
    )


@lru_cache(maxsize=4)
def _grid(pixels: int) -> tuple[np.ndarray, np.ndarray]:
    axis = np.linspace(-1, 1, pixels, dtype=np.float32)
    return np.meshgrid(axis, axis)


def _soft(inside: np.ndarray, sharpness: float = 25.0) -> np.ndarray:
    """0 outside, 1 inside, smooth in between; `inside` is positive inside."""
    return 1.0 / (1.0 + exp(-np.clip(inside * sharpness, -30, 30)))


def _ellipse(x: np.ndarray, y: np.ndarray, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    return 1.0 - np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)


def _noise(rng: np.random.Generator, pixels: int, cells: int) -> np.ndarray:
    """Smooth noise of about unit size: `cells` bumps across."""
    small = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(small).resize((pixels, pixels), Image.Resampling.BICUBIC))


def _patches(lungs: Lungs, anatomy: Anatomy) -> list[tuple[float, float, float, float]]:
    """Lesions as balls: x, d, y, radius."""
    if lungs.pattern == "lobar" and lungs.lobe:
        x, d, y = LOBE_PLACE[lungs.lobe]
        return [(x, d, y, 0.16 + 0.14 * lungs.size)]
    if lungs.pattern != "bronchopneumonia":
        return []
    signs = {"右": (-1.0,), "左": (1.0,), "双": (-1.0, 1.0)}[lungs.side]
    count = 6 + round(4 * lungs.size)
    found = []
    for n, (x, d, y, radius) in enumerate(anatomy.blobs[: count * len(signs)]):
        found.append((signs[n % len(signs)] * x, d, y, radius * (0.7 + 0.4 * lungs.size)))
    return found


# ---------------------------------------------------------------- X-ray


def xray_ap(lungs: Lungs, anatomy: Anatomy, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Frontal film, uint16[pixels, pixels], 12 bit, bright is dense."""
    n = pixels // 2
    gx, gy = _grid(n)
    angle = rng.uniform(-0.05, 0.05)
    zoom = anatomy.scale * rng.uniform(0.97, 1.03)
    x = (gx * cos(angle) + gy * sin(angle)) / zoom + rng.uniform(-0.04, 0.04)
    y = (gy * cos(angle) - gx * sin(angle)) / zoom + rng.uniform(-0.04, 0.04)
    wide = anatomy.lung_width * (1.14 if lungs.hyperinflation else 1.0)
    dome = 0.0 if lungs.hyperinflation else 0.16
    floor = 0.48 + anatomy.diaphragm + (0.24 if lungs.hyperinflation else 0.0)
    lung = np.zeros_like(x)
    for sign in (-1.0, 1.0):
        cx = sign * LUNG_X
        field = _soft(_ellipse(x, y, cx, 0.0, LUNG_RX * wide, 0.8))
        diaphragm = floor + dome * ((x - cx * 0.9) / 0.28) ** 2 - dome * 0.6
        lung = np.maximum(lung, field * _soft(diaphragm - y, 40))
    body = _soft(_ellipse(x, y, 0, 0.35, 0.86, 1.5))
    depth = 0.46 if lungs.hyperinflation else 0.32
    film = 0.60 * body - depth * lung
    heart = _soft(_ellipse(x, y, 0.09, 0.22, 0.25 * anatomy.heart, 0.30 * anatomy.heart))
    film += 0.24 * heart * lung + 0.06 * heart
    film += 0.10 * exp(-((x / 0.09) ** 2)) * body
    film += 0.035 * cos(26 * (y - 0.45 * x**2) + 6 * anatomy.ribs) * body * (np.abs(x) > 0.12)
    film += _vessels(x, y, lungs, rng) * lung
    film += _lesions_ap(x, y, lungs, anatomy, n, rng) * lung
    if lungs.effusion_side:
        film += _effusion_ap(x, y, lungs, floor) * body
    big = Image.fromarray(film.astype(np.float32)).resize((pixels, pixels), Image.Resampling.BICUBIC)
    return _expose(np.asarray(big), rng)


def _vessels(x: np.ndarray, y: np.ndarray, lungs: Lungs, rng: np.random.Generator) -> np.ndarray:
    """Branches from the hila; bronchitis makes more, thicker and brighter ones."""
    ill = lungs.pattern == "bronchitis"
    count, strength, width = (24, 0.22, 0.020) if ill else (8, 0.04, 0.010)
    found = np.zeros_like(x)
    for k in range(count):
        sign = -1.0 if k % 2 else 1.0
        ox, oy = sign * 0.16, 0.0
        angle = rng.uniform(-1.2, 1.2)
        length = rng.uniform(0.3, 0.5)
        dx, dy = sign * cos(angle), sin(angle)
        along = (x - ox) * dx + (y - oy) * dy
        across = (x - ox) * -dy + (y - oy) * dx
        fade = np.clip(1 - along / length, 0, 1) * (along > 0)
        found = np.maximum(found, strength * fade * exp(-((across / width) ** 2)))
    return found


def _lesions_ap(
    x: np.ndarray, y: np.ndarray, lungs: Lungs, anatomy: Anatomy, n: int, rng: np.random.Generator
) -> np.ndarray:
    texture = 1 + 0.18 * _noise(rng, n, 24)
    found = np.zeros_like(x)
    for px, _, py, radius in _patches(lungs, anatomy):
        if lungs.pattern == "lobar":
            found = np.maximum(found, 0.40 * _soft(_ellipse(x, y, px, py, radius, radius * 0.85), 6))
        else:
            ball = exp(-(((x - px) ** 2 + (y - py) ** 2) / (0.8 * radius) ** 2))
            found = np.maximum(found, 0.32 * ball)
    return found * texture


def _effusion_ap(x: np.ndarray, y: np.ndarray, lungs: Lungs, floor: float) -> np.ndarray:
    """Fluid with a meniscus: higher at the chest wall."""
    sign = -1.0 if lungs.effusion_side == "右" else 1.0
    lateral = np.clip((x * sign - 0.12) / 0.5, 0, 1.2)
    level = floor - 0.02 - 0.34 * lungs.effusion_amount * (0.35 + 0.75 * lateral**2)
    half = _soft(x * sign - 0.12, 30) * _soft(0.74 - x * sign, 30)
    return 0.36 * half * _soft(y - level, 30) * _soft(floor + 0.25 - y, 12)


def xray_lateral(lungs: Lungs, anatomy: Anatomy, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Lateral film, uint16[pixels, pixels]; the front is on the left."""
    n = pixels // 2
    d, gy = _grid(n)
    y = gy / anatomy.scale + rng.uniform(-0.03, 0.03)
    lung = _soft(_ellipse(d, y, 0.05, -0.05, 0.58, 0.66)) * _soft(0.45 + 0.12 * d - y, 40)
    film = 0.66 * _soft(_ellipse(d, y, 0, 0.3, 0.8, 1.5)) - 0.30 * lung
    film += 0.2 * _soft(_ellipse(d, y, -0.3, 0.2, 0.26, 0.26)) * lung
    film += 0.12 * exp(-(((d - 0.62) / 0.09) ** 2))
    for _, pd, py, radius in _patches(lungs, anatomy):
        film += 0.14 * exp(-(((d - 1.4 * pd) ** 2 + (y - py) ** 2) / radius**2)) * lung
    if lungs.effusion_side:
        film += (
            0.22 * _soft(y - 0.34 + 0.3 * lungs.effusion_amount * np.clip(d, 0, 1), 25) * _soft(d - 0.1, 10)
        )
    big = Image.fromarray(film.astype(np.float32)).resize((pixels, pixels), Image.Resampling.BICUBIC)
    return _expose(np.asarray(big), rng)


def _expose(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, scatter and noise; 12-bit values."""
    pixels = film.shape[0]
    gain, offset = rng.uniform(0.85, 1.1), rng.uniform(0.02, 0.1)
    film = offset + gain * film + 0.012 * _noise(rng, pixels, 8)
    film = film + rng.normal(scale=0.010, size=film.shape)
    return np.clip(film * 3800, 0, 4095).astype(np.uint16)


# ---------------------------------------------------------------- CT


def ct_volume(
    lungs: Lungs, anatomy: Anatomy, pixels: int, slices: int, enhanced: bool, rng: np.random.Generator
) -> np.ndarray:
    """int16[slices, pixels, pixels] in HU, from the apex down; front at the top, right at the left."""
    x, d = _grid(pixels)
    x, d = x / anatomy.scale + rng.uniform(-0.02, 0.02), d / anatomy.scale + rng.uniform(-0.02, 0.02)
    wide = anatomy.lung_width * (1.08 if lungs.hyperinflation else 1.0)
    air = EMPHYSEMA if lungs.hyperinflation else LUNG
    blood = CONTRAST if enhanced else SOFT
    dots = [(rng.uniform(-0.6, 0.6), rng.uniform(-0.4, 0.4), rng.uniform(-0.6, 0.5)) for _ in range(40)]
    volume = np.empty((slices, pixels, pixels), dtype=np.int16)
    body = _soft(_ellipse(x, d, 0, 0, 0.9, 0.68), 60)
    inner = _soft(_ellipse(x, d, 0, 0, 0.84, 0.62), 60)
    spine = _soft(_ellipse(x, d, 0, 0.44, 0.11, 0.11), 30)
    around_cos, around_sin = _nine_times(x, d)
    for k in range(slices):
        y = -0.66 + 1.2 * k / (slices - 1)
        hu = AIR + (FAT - AIR) * body + (SOFT - FAT) * inner
        phase = 14 * y + 6 * anatomy.ribs
        ring = np.abs(_ellipse(x, d, 0, 0, 0.8, 0.58)) < 0.035
        ribs = ring & (around_cos * cos(phase) - around_sin * sin(phase) > 0.35)
        lung = np.zeros_like(x)
        high = np.sqrt(max(0.05, 1 - ((y + 0.02) / 0.78) ** 2))
        for sign in (-1.0, 1.0):
            field = _ellipse(x, d, sign * LUNG_X, 0.0, LUNG_RX * wide * high, 0.5 * high)
            lung = np.maximum(lung, _soft(field, 30))
        heart_size = math.sqrt(max(0.0, 1 - ((y - 0.22) / (0.34 * anatomy.heart)) ** 2))
        heart = np.zeros_like(x)
        if heart_size > 0.05:
            heart = _soft(_ellipse(x, d, 0.09, -0.14, 0.25 * heart_size, 0.24 * heart_size), 20)
        lung = lung * (1 - heart)
        inside = np.full_like(x, air)
        inside = np.maximum(inside, _vessels_ct(x, d, y, dots, lungs, air))
        inside = np.maximum(inside, _lesions_ct(x, d, y, lungs, anatomy, air))
        if lungs.effusion_side:
            inside = np.maximum(inside, _effusion_ct(x, d, y, lungs, air))
        hu = hu + lung * (inside - hu) + heart * (blood - SOFT) * inner
        hu = np.where(ribs, BONE, hu)
        hu = hu + spine * (BONE - hu)
        hu = hu + rng.normal(scale=18, size=hu.shape)
        volume[k] = np.clip(hu, -1024, 3000).astype(np.int16)
    return volume


def _nine_times(x: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cos, sin) of nine times the angle of (x, d), in which the ribs lie around the body."""
    length = np.maximum(np.sqrt(x * x + d * d), 1e-6)
    c, s = x / length, d / length
    for _ in range(2):  # three times, and three times again
        c, s = 4 * c * c * c - 3 * c, 3 * s - 4 * s * s * s
    return c, s


def _vessels_ct(
    x: np.ndarray, d: np.ndarray, y: float, dots: list[tuple[float, float, float]], lungs: Lungs, air: float
) -> np.ndarray:
    ill = lungs.pattern == "bronchitis"
    found = np.full_like(x, air)
    for px, pd, py in dots[: 40 if ill else 16]:
        if abs(py - y) < 0.15:
            radius = 0.03 if ill else 0.018
            found = np.maximum(found, air + 700 * exp(-(((x - px) ** 2 + (d - pd) ** 2) / radius**2)))
    return found


def _lesions_ct(
    x: np.ndarray, d: np.ndarray, y: float, lungs: Lungs, anatomy: Anatomy, air: float
) -> np.ndarray:
    found = np.full_like(x, air)
    for px, pd, py, radius in _patches(lungs, anatomy):
        if lungs.pattern == "lobar":
            inside = 1 - np.sqrt(((x - px) ** 2 + (d - pd) ** 2 + (y - py) ** 2) / (1.15 * radius) ** 2)
            found = np.maximum(found, air + (20 - air) * _soft(inside, 8))
        else:
            ball = exp(-(((x - px) ** 2 + (d - pd) ** 2 + (y - py) ** 2) / radius**2))
            found = np.maximum(found, air + 650 * ball)
    return found


def _effusion_ct(x: np.ndarray, d: np.ndarray, y: float, lungs: Lungs, air: float) -> np.ndarray:
    """Fluid lies at the back of the lower chest."""
    sign = -1.0 if lungs.effusion_side == "右" else 1.0
    depth = 0.42 - 0.34 * lungs.effusion_amount * np.clip((y + 0.15) / 0.6, 0, 1)
    return air + (12 - air) * _soft(d - depth, 40) * _soft(x * sign, 30) * float(y > -0.15)
