"""From pixels to the network's input: the same for curate, training and the server."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from p2med.errors import DataError
from p2med.imaging.contact_sheet import contact_sheet
from p2med.imaging.picture import read_picture
from p2med.imaging.select import choose, is_lung_kernel
from p2med.imaging.spec import ImageSpec
from p2med.imaging.transform import evenly, prepare, resize, stretch, window
from p2med.schema.case import Series, Study, Volume

torch = pytest.importorskip("torch")


@given(
    hu=st.lists(st.integers(-2048, 4095), min_size=2),
    level=st.floats(-1500, 1500),
    width=st.floats(1, 4000),
)
def test_window_stays_in_range_and_never_reorders(hu, level, width):
    shown = window(np.array(sorted(hu)), level, width)
    assert 0 <= shown.min() and shown.max() <= 1 and (np.diff(shown) >= 0).all()


def test_window_ends_where_the_paper_says():
    assert window(np.array([-1100, -500, 100])).tolist() == pytest.approx([0, 0.5, 1])
    with pytest.raises(ValueError, match="> 0 HU"):
        window(np.zeros(1), width=0)


@given(grey=arrays(np.uint16, (5, 7)), add=st.integers(0, 1000))
def test_stretch_ignores_brightness_and_stays_in_range(grey, add):
    grey = (grey // 2).astype(np.int64)
    shown = stretch(grey)
    assert 0 <= shown.min() and shown.max() <= 1
    assert np.allclose(stretch(grey + add), shown, atol=1e-3)


def test_stretch_of_a_nearly_flat_film_keeps_what_differs():
    film = np.zeros((100, 100), np.uint16)
    assert not stretch(film).any()
    film[0, :3] = 500
    assert stretch(film).max() == 1


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    size=st.sampled_from([16, 24, 33]),
    seed=st.integers(0, 99),
)
def test_resize_is_torchs_antialiased_bilinear(shape, size, seed):
    image = np.random.default_rng(seed).random(shape).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size=(size, size), mode="bilinear", antialias=True
    )[0, 0].numpy()
    assert np.abs(resize(image, size) - theirs).max() < 1e-5


@given(count=st.integers(1, 200), at_most=st.integers(1, 40))
def test_slices_are_chosen_evenly(count, at_most):
    chosen = evenly(count, at_most)
    assert len(chosen) == min(count, at_most) and chosen.min() >= 0 and chosen.max() < count
    steps = np.diff(chosen)
    assert len(set(chosen)) == len(chosen) and (not len(steps) or steps.max() - steps.min() <= 1)


@pytest.mark.parametrize(
    "unit, dtype", [("HU", np.int16), ("stored", np.uint16), ("unit_interval", np.float16)]
)
def test_prepare_gives_the_recipes_size_in_the_unit_interval(unit, dtype):
    array = np.random.default_rng(0).integers(0, 2, (9, 40, 50)).astype(dtype)
    ready = prepare(array, unit, ImageSpec(size=32, max_slices=4))
    assert ready.shape == (4, 32, 32) and ready.dtype == np.float16
    assert ready.min() >= 0 and ready.max() <= 1
    again = prepare(ready, "unit_interval", ImageSpec(size=32, max_slices=4))
    assert (again == ready).all()


def test_prepare_refuses_what_is_no_image():
    for array, unit in (
        (np.zeros((0, 4, 4)), "HU"),
        (np.zeros((1, 2, 3, 4)), "HU"),
        (np.zeros((4, 4)), "mm"),
    ):
        with pytest.raises(ValueError):
            prepare(array, unit, ImageSpec(size=16))


# ---------------------------------------------------------------- pictures


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def test_pictures_become_grey():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    pixels = read_picture(saved(Image.fromarray(grey)))
    assert pixels.unit == "stored" and (pixels.array == grey[None]).all()
    colour = Image.fromarray(np.stack([grey] * 3, -1))
    assert np.abs(read_picture(saved(colour)).array.astype(int) - grey).max() <= 1
    assert read_picture(saved(colour, "JPEG")).array.shape == (1, 3, 4)
    deep = np.array([[0, 300], [40000, 65535]], np.uint16)
    assert (read_picture(saved(Image.fromarray(deep))).array[0] == deep).all()
    glass = Image.fromarray(np.array([[[200, 200, 200, 0], [200, 200, 200, 255]]], np.uint8), "RGBA")
    assert read_picture(saved(glass)).array.tolist() == [[[0, 200]]]


def test_exif_turns_the_picture_and_is_dropped():
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    assert read_picture(saved(picture, exif=exif)).array.shape == (1, 3, 2)


def test_bad_pictures_are_refused_by_name():
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)))
    for content, reason in (
        (b"", "not_a_picture"),
        (b"GIF89a" + bytes(40), "not_a_picture"),
        (whole[: len(whole) // 2], "picture_unreadable"),
        (saved(Image.new("1", (20000, 20000))), "picture_too_large"),
    ):
        with pytest.raises(DataError) as error:
            read_picture(content)
        assert error.value.reason == reason


def test_a_contact_sheet_shows_every_slice():
    array = np.zeros((4, 32, 32), np.float32)
    array[2] = 1
    sheet = Image.open(BytesIO(contact_sheet(array, "CT 4 slices\n中文")))
    tiles = np.asarray(sheet)[-320:, :320].reshape(2, 160, 2, 160).mean((1, 3))
    assert tiles.argmax() == 2
    assert contact_sheet(array, "x") == contact_sheet(array, "x")


# ---------------------------------------------------------------- choosing series


def series(uid: str, depth: int = 30, **facts) -> Series:
    volume = Volume(path=f"run:{uid}.npy", shape=(depth, 4, 4), dtype="int16", unit="HU")
    return Series(series_uid=uid, volume=volume, **facts)


def chosen(modality: str, *found: Series, **options) -> list[str]:
    choices = choose(Study(study_uid="1", modality=modality, series=found), **options)
    assert sorted(c.series_uid for c in choices) == sorted(s.series_uid for s in found)
    assert all(c.reason for c in choices)
    return [c.series_uid for c in choices if c.chosen]


def test_ct_takes_lung_kernel_and_five_mm_plain_before_enhanced():
    lung5 = series("lung5", convolution_kernel="B60f", slice_thickness_mm=5)
    lung1 = series("lung1", convolution_kernel="LUNG", slice_thickness_mm=1)
    soft5 = series("soft5", convolution_kernel="B30f", slice_thickness_mm=5)
    enhanced = series("ce", convolution_kernel="B60f", slice_thickness_mm=5, contrast=True)
    assert chosen("CT", enhanced, soft5, lung1, lung5) == ["lung5", "ce"]
    assert chosen("CT", lung1, soft5) == ["lung1"]
    assert chosen("CT", lung1, require_slice_thickness=True) == []
    assert chosen("CT", series("scout", depth=1), lung5) == ["lung5"]
    assert chosen("CT", series("unknown"), soft5) == ["unknown"]
    assert chosen("CT", lung1, lung5, slice_thickness_mm=None) == ["lung1"]


def test_xray_takes_one_frontal_then_one_lateral():
    pa, ap = series("b", 1, view_position="PA"), series("c", 1, view_position="AP")
    side, unknown = series("a", 1, view_position="LL"), series("d", 1)
    assert chosen("DX", side, pa, ap) == ["b", "a"]
    assert chosen("CR", unknown, side) == ["d", "a"]
    assert chosen("CR", unknown, ap) == ["c"]


@pytest.mark.parametrize(
    "kernel, lung",
    [
        ("B60f", True),
        ("I70f/3", True),
        ("Bl57d/3", True),
        ("LUNG", True),
        ("L", True),
        ("FC51", True),
        ("YB", True),
    ]
    + [("B30f", False), ("STANDARD", False), ("FC17", False), ("D40s", False), ("", None)],
)
def test_lung_kernels_by_name(kernel, lung):
    assert is_lung_kernel(kernel) is lung
