"""Burned-in text is found on films and slices, side markers are not; what is blotted cannot be read."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from p2med.deid.burned_in import _as_known, find_text
from p2med.deid.dicom_pixels import blot, blot_text
from p2med.errors import PhiError
from p2med.files import data_folder

FILMS = data_folder() / "cxr_timeseries_covid" / "images.zip"
WORDS = ("ZHANG ZIHAN", "ID 10000048", "2022-09-14", "DOB:20150307", "CHILDRENS HOSPITAL")


def film(words: str = "", at=(40, 60), size: int = 20, grey: int = 4000, pixels: int = 700) -> np.ndarray:
    """12-bit: a chest of soft ellipses and ribs, with noise."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:pixels, :pixels] / pixels
    shade = 2600 - 1500 * np.exp(-(((x - 0.3) / 0.13) ** 2 + ((y - 0.5) / 0.25) ** 2))
    shade -= 1500 * np.exp(-(((x - 0.7) / 0.13) ** 2 + ((y - 0.5) / 0.25) ** 2))
    shade += 60 * np.sin(40 * y + 6 * (x - 0.5) ** 2)
    shade *= 0.15 + 0.85 / (1 + np.exp(60 * ((x - 0.5) ** 2 + (y - 0.55) ** 2 - 0.24)))
    values = shade + random.normal(0, 25, shade.shape)
    picture = Image.fromarray(values.clip(0, 4095).astype(np.int32), mode="I")
    if words:
        ImageDraw.Draw(picture).text(at[::-1], words, fill=grey, font=ImageFont.load_default(size=size))
    return np.asarray(picture).astype(np.int32)


def slice_of(words: str = "", value: int = 1500, pixels: int = 256, size: int = 14) -> np.ndarray:
    """HU of a body with vessels and noise, blurred as a scanner does."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:pixels, :pixels] / pixels - 0.5
    hu = np.where(x**2 + 1.5 * y**2 < 0.16, 40.0, -1000.0)
    hu[(abs(abs(x) - 0.18) < 0.12) & (abs(y) < 0.2)] = -850
    for _ in range(150):
        cx, cy = random.uniform(-0.3, 0.3), random.uniform(-0.2, 0.2)
        hu += 700 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.00004) * (hu < -500)
    hu = ndimage.gaussian_filter(hu + random.normal(0, 60, hu.shape), 0.8)
    picture = Image.fromarray(hu.astype(np.int32), mode="I")
    if words:
        at = (pixels // 12, pixels // 20)
        ImageDraw.Draw(picture).text(at, words, fill=value, font=ImageFont.load_default(size=size))
    return np.asarray(picture).astype(np.int32)


@pytest.mark.parametrize("size", [14, 22, 36])
@pytest.mark.parametrize("at", [(20, 60), (660, 30), (300, 150)])
@pytest.mark.parametrize("words", WORDS)
def test_text_is_found_whole(words, at, size):
    grey = 4000 if at != (300, 150) else 0
    clean, marked = film(), film(words, at, size, grey)
    found = find_text(marked)
    covered = np.zeros(marked.shape, bool)
    for top, bottom, left, right in found.boxes:
        covered[top:bottom, left:right] = True
    drawn = clean != marked
    assert (covered & drawn).sum() >= 0.97 * drawn.sum()
    assert found.in_lungs == (at == (300, 150))


@pytest.mark.skipif(not FILMS.exists(), reason="the shared data is not here")
@pytest.mark.parametrize(
    "name, at, grey",
    [("0d40bb0dd16d", (331, 24), 255), ("0d40bb0dd16d", (112, 303), 0), ("26438c2334a2", (166, 94), 0)],
)
def test_bones_that_a_word_runs_into_do_not_hide_it(name, at, grey):
    with zipfile.ZipFile(FILMS) as archive:
        picture = Image.open(BytesIO(archive.read(f"{name}.jpg"))).convert("L")
    assert not find_text(np.asarray(picture)).boxes
    ImageDraw.Draw(picture).text(at[::-1], "LI HAORAN", fill=grey, font=ImageFont.load_default(size=13))
    assert find_text(np.asarray(picture)).in_lungs


def test_a_line_of_which_a_finer_picture_showed_a_part_stays_whole():
    part, whole = (4, 26, 40, 200), (0, 30, 0, 210)
    assert _as_known(whole, [part]) == (4, 26, 0, 210)
    assert _as_known(whole, [(4, 26, 100, 200)]) == whole


def test_both_photometric_senses_and_depths_are_searched():
    for values in (4095 - film(WORDS[0]), film(WORDS[0]) // 16, film(WORDS[0]) - 2048):
        assert find_text(values).boxes


@pytest.mark.parametrize("marker", ["", "R", "L"])
@pytest.mark.parametrize("size", [24, 40, 60])
def test_a_clean_film_and_a_side_marker_stay(marker, size):
    assert find_text(film(marker, (30, 60), size)).boxes == ()


def test_a_mask_takes_the_text_and_leaves_the_lungs():
    clean, marked = film(), film(WORDS[0])
    assert blot_text(marked[None], False, None, "mask") >= 1
    assert find_text(marked).boxes == ()
    lungs = (slice(150, 550), slice(100, 600))
    assert np.array_equal(marked[lungs], clean[lungs])


def test_text_in_the_lungs_or_on_a_slice_is_refused_and_never_blotted():
    in_lungs = film(WORDS[0], (300, 150), 22, 0)
    for frames, ct, policy in (
        (in_lungs[None], False, "mask"),
        (film(WORDS[0])[None], False, "reject"),
        (np.stack([slice_of(), slice_of(WORDS[0])]), True, "mask"),
    ):
        before = frames.copy()
        with pytest.raises(PhiError, match="burned_in_text"):
            blot_text(frames, ct, None, policy)
        assert np.array_equal(frames, before)
    assert blot_text(in_lungs[None], False, None, "keep") == 0


@pytest.mark.parametrize("words", WORDS)
def test_text_on_a_slice_is_found_and_vessels_are_none(words):
    assert find_text(slice_of(words), ct=True).boxes
    assert find_text(slice_of(words) * 1 + 1024, ct=True).boxes
    assert not find_text(slice_of(), ct=True).boxes


@pytest.mark.parametrize("pixels, size", [(64, 10), (96, 12), (128, 12), (160, 14), (192, 14)])
def test_small_slices_are_searched_too(pixels, size):
    for words in ("ZHANG Z", "10000048", "20220914"):
        assert find_text(slice_of(words, 1500, pixels, size), ct=True).boxes, words
    assert not find_text(slice_of(pixels=pixels), ct=True).boxes


def test_a_blot_is_flat():
    values = film(WORDS[0])
    blot(values, (30, 90, 50, 300))
    assert values[30:90, 50:300].std() == 0
