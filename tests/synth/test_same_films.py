"""A seed draws the same films on every processor: numpy with and without its newer kernels."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy._core import _multiarray_umath as kernels

from p2med.synth import functions

DRAW = """
import hashlib, sys
import numpy as np
from p2med.synth import phantom
from p2med.synth.illness import Lungs
if "numpy" in sys.argv:
    phantom.exp, phantom.cos, phantom.sin = np.exp, np.cos, np.sin
done = hashlib.sha256()
for pattern in ("normal", "bronchitis", "bronchopneumonia", "lobar"):
    rng = np.random.default_rng(1)
    lungs = Lungs(pattern=pattern, side="右", lobe="右肺下叶", effusion_side="右", effusion_amount=0.5)
    anatomy = phantom.make_anatomy(rng)
    for film in (phantom.xray_ap, phantom.xray_lateral):
        done.update(film(lungs, anatomy, 256, rng).tobytes())
    done.update(phantom.ct_volume(lungs, anatomy, 128, 12, False, rng).tobytes())
print(done.hexdigest())
"""


def drawn(plain: bool, *words: str) -> str:
    """The digest of some films, with all of numpy's kernels or with the plain ones alone."""
    world = dict(os.environ)
    if plain:
        world["NPY_DISABLE_CPU_FEATURES"] = " ".join(kernels.__cpu_dispatch__)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRAW, *words], env=world, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_films_are_alike_on_an_older_processor():
    assert drawn(plain=False) == drawn(plain=True)


def test_with_numpys_own_functions_they_would_not_be():
    if not any(kernels.__cpu_features__.get(k) for k in kernels.__cpu_dispatch__):
        pytest.skip("this processor has none of the kernels that differ")
    assert drawn(False, "numpy") != drawn(True, "numpy")


@pytest.mark.parametrize(("kind", "near"), [(np.float32, 1e-5), (np.float64, 1e-8)])
def test_the_functions_are_right(kind, near):
    x = np.linspace(-80, 80, 100_001).astype(kind)
    wide = x.astype(np.float64)
    for mine, numpys in ((functions.cos, np.cos), (functions.sin, np.sin)):
        assert mine(x).dtype == kind and np.abs(mine(x) - numpys(wide)).max() < near
    assert functions.exp(x).dtype == kind and np.abs(functions.exp(x) / np.exp(wide) - 1).max() < 2e-7
    assert np.isfinite(functions.exp(np.array([-1e30, 1e30], kind))).all()
