"""Slice distances, grey values and fingerprints do not depend on how a processor's BLAS adds."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from numpy._core import _multiarray_umath as kernels

from p2med.imaging.decode import luminance

WORK = """
import dataclasses, hashlib, sys
import numpy as np
from p2med.curate import leaks_images
from p2med.imaging import order
from p2med.imaging.header import Header
if "blas" in sys.argv:
    order._along = lambda positions, normal: positions @ normal
dice = np.random.default_rng(0)
header = Header("CT", "", 64, 64, 1, 1, "MONOCHROME2", 16, 12, 11, False)
done = hashlib.sha256()
for _ in range(40):
    row, _ = axes = np.linalg.qr(np.eye(3)[:2].T + dice.normal(scale=0.1, size=(3, 2)))[0].round(6).T
    normal = order.upward_normal(axes.ravel())
    headers = [
        dataclasses.replace(header, orientation=tuple(axes.ravel()), position=tuple(normal * (5.1 * k - 50)))
        for k in range(30)
    ]
    done.update(order.order_slices(headers).gaps_mm.tobytes())
for _ in range(400):
    image = dice.normal(size=(1, 48, 48)).cumsum(1).cumsum(2)
    done.update(leaks_images.fingerprint(image).tobytes())
print(done.hexdigest())
"""


def worked(core: str | None, *words: str) -> str:
    """The digest with the kernels of this processor, or of another core."""
    world = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    world |= {"OPENBLAS_CORETYPE": core} if core else {}
    done = subprocess.run([sys.executable, "-c", WORK, *words], env=world, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout


def test_distances_and_fingerprints_are_alike_on_an_older_processor():
    assert worked(None) == worked("Nehalem")


@pytest.mark.skipif(
    not kernels.__cpu_features__.get("AVX2"), reason="this processor is no newer than Nehalem"
)
def test_with_blas_they_would_not_be():
    assert worked(None, "blas") != worked("Nehalem", "blas")


def test_grey_is_the_nearest_whole_number_of_every_colour():
    dice = np.random.default_rng(0)
    colours = dice.integers(0, 256, (20_000, 3), dtype=np.uint8)
    exact = [Fraction(299 * int(r) + 587 * int(g) + 114 * int(b), 1000) for r, g, b in colours]
    halfway = [e for e in exact if e % 1 == Fraction(1, 2)]
    assert len(halfway) > 5
    assert luminance(colours).tolist() == [int(e + Fraction(1, 2)) for e in exact]
    assert luminance(np.full((1, 3), 65_535, np.uint16)).tolist() == [65_535]
