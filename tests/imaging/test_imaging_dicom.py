"""From DICOM files to Hounsfield units and grey values."""

import zipfile
from io import BytesIO

import numpy as np
import pydicom
import pytest
from dicom_maker import dataset, made, to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from p2med import store
from p2med.errors import DataError
from p2med.imaging import decode
from p2med.imaging.dicom import read_header, read_series
from p2med.imaging.source import read_bytes
from p2med.imaging.transform import window

FLAT = np.full((4, 6), 1024, np.uint16)


def refused(reason: str, *blobs: bytes) -> str:
    with pytest.raises(DataError) as error:
        read_series(blobs)
    assert error.value.reason == reason
    return str(error.value)


def test_a_real_ct_slice_in_the_window_of_the_paper():
    pixels = read_series([get_testdata_file("CT_small.dcm")])
    assert pixels.unit == "HU" and pixels.array.dtype == np.int16 and pixels.array.shape == (1, 128, 128)
    assert window(pixels.array).mean() == pytest.approx(0.7862, abs=1e-4)  # read off once, checked by eye


@settings(max_examples=25, deadline=None)
@given(
    stored=arrays(np.int16, (3, 5), elements=st.integers(-2048, 2047)),
    slope=st.sampled_from([1, 0.5, 2]),
    intercept=st.integers(-1024, 0),
)
def test_rescale_is_applied_exactly_once(stored, slope, intercept):
    hu = read_series([made(stored, RescaleSlope=slope, RescaleIntercept=intercept)]).array[0]
    assert (hu == np.rint(stored * slope + intercept)).all()


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(range(6)),
    tilt=st.sampled_from([[1, 0, 0, 0, 1, 0], [0.96, 0.28, 0, -0.28, 0.96, 0], [1, 0, 0, 0, 0.8, 0.6]]),
)
def test_slices_come_out_in_the_order_of_their_positions(order, tilt):
    normal = np.cross(tilt[:3], tilt[3:])
    blobs = [
        made(
            np.full((2, 2), 1000 + n, np.uint16),
            ImageOrientationPatient=tilt,
            ImagePositionPatient=[round(float(x), 6) for x in (n * 2.5 * normal + 7)],
            InstanceNumber=100 - n,
        )
        for n in order
    ]
    pixels = read_series(blobs)
    assert pixels.array[:, 0, 0].tolist() == [-24 + n for n in range(6)]
    assert pixels.order_rule == "image_position_patient" and pixels.even
    assert pixels.spacing_mm == pytest.approx((2.5, 0.5, 0.25), abs=1e-3)


def test_without_positions_slice_location_then_instance_number_decides():
    def series(**elements):
        plain = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
        return [
            made(np.full((2, 2), 1024 + n, np.uint16), **plain, **{k: v[n] for k, v in elements.items()})
            for n in range(3)
        ]

    by_location = read_series(series(SliceLocation=[15, 5, 10], InstanceNumber=[1, 2, 3]))
    assert by_location.array[:, 0, 0].tolist() == [1, 2, 0] and by_location.order_rule == "slice_location"
    by_number = read_series(series(InstanceNumber=[3, 1, 2]))
    assert by_number.array[:, 0, 0].tolist() == [1, 2, 0] and by_number.order_rule == "instance_number"
    refused("order_unknown", *series())


def test_a_series_that_is_none_is_refused_by_name():
    second = {"ImagePositionPatient": [0, 0, 5]}
    refused("duplicate_position", made(FLAT), made(FLAT + 1))
    refused("mixed_shape", made(FLAT), made(FLAT.T.copy(), **second))
    refused(
        "mixed_orientation", made(FLAT), made(FLAT, ImageOrientationPatient=[0, 1, 0, 0, 0, -1], **second)
    )
    refused("localizer", made(FLAT, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    refused("mixed_modality", made(FLAT), made(FLAT, "CR", BitsStored=16))
    refused("several_radiographs", made(FLAT, "DX"), made(FLAT, "DX"))
    refused("multi_frame_ct", made(np.stack([FLAT, FLAT]), NumberOfFrames=2))
    refused("multi_frame_radiograph", made(np.stack([FLAT, FLAT]), "DX", NumberOfFrames=2))
    refused("no_hounsfield_units", made(FLAT, RescaleIntercept=None))
    refused("modality_not_supported", made(FLAT, "MR"))
    refused("photometric_not_supported", made(FLAT, "CR", PhotometricInterpretation="PALETTE COLOR"))
    refused("bits_not_supported", made(FLAT, BitsStored=24))
    refused("image_too_large", made(FLAT, Rows=60000, Columns=60000))
    refused("no_files")


def test_what_is_no_image_is_refused_by_name():
    refused("not_an_image", open(get_testdata_file("rtplan.dcm"), "rb").read())
    refused("not_an_image", made(FLAT, PixelData=None))
    refused("not_dicom", b"%PDF-1.7 " + b"x" * 300)
    refused("not_dicom", b"")


@pytest.mark.parametrize("cut", [1, 20, 47])
def test_a_truncated_file_is_refused_by_name(cut):
    refused("pixel_data_truncated", made(FLAT)[:-cut])


def test_a_truncated_compressed_file_is_refused():
    ds = dataset(np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16))
    ds.compress(RLELossless)
    whole = to_bytes(ds)
    assert read_series([whole]).array.shape == (1, 64, 64)
    for cut in (10, 1000, 5000):
        with pytest.raises(DataError) as error:
            read_series([whole[:-cut]])
        assert error.value.reason in ("pixel_data_truncated", "pixel_data_unreadable")


def test_a_panic_of_a_decoder_becomes_a_reason(monkeypatch):
    class PanicException(BaseException):
        """As pyo3 raises it: no Exception (SAFETY.md, F5)."""

    def panic(*_, **__):
        raise PanicException("index out of bounds")

    monkeypatch.setattr(decode, "pixel_array", panic)
    refused("pixel_data_unreadable", made(FLAT))


def test_keyboard_interrupt_is_not_swallowed(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(decode, "pixel_array", stop)
    with pytest.raises(KeyboardInterrupt):
        read_series([made(FLAT)])


def test_mutated_files_never_crash_and_never_tell_a_value():
    random = np.random.default_rng(5)
    ds = dataset(random.integers(0, 4000, (16, 16)).astype(np.uint16), PatientName="Geheim^Person")
    ds.compress(RLELossless)
    whole = to_bytes(ds)
    refusals = 0
    for _ in range(400):
        blob = bytearray(whole)
        for place in random.integers(132, len(blob), 3):
            blob[place] = random.integers(256)
        try:
            read_series([bytes(blob)])
        except DataError as error:
            refusals += 1
            assert "Geheim" not in str(error) and error.__cause__ is None
    assert refusals > 20


def test_a_nested_sequence_bomb_is_refused():
    inner = Dataset()
    for _ in range(3000):
        outer = Dataset()
        outer.add_new(0x00081140, "SQ", Sequence([inner]))
        inner = outer
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    element = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff"
    ds = made(FLAT)
    start = ds.index(b"\x08\x00\x60\x00CS")
    bomb = ds[:start] + (element + item) * 3000 + ds[start:]
    with pytest.raises(DataError) as error:
        read_header(bomb)
    assert error.value.reason == "nested_too_deep"


@settings(max_examples=20, deadline=None)
@given(stored=arrays(np.uint16, (3, 4), elements=st.integers(0, 1023)))
def test_monochrome1_is_inverted_and_nothing_else_changes(stored):
    plain = read_series([made(stored, "CR", BitsStored=10, HighBit=9)])
    turned = read_series(
        [made(1023 - stored, "DX", BitsStored=10, HighBit=9, PhotometricInterpretation="MONOCHROME1")]
    )
    assert plain.unit == "stored" and (plain.array[0] == stored).all()
    assert (turned.array == plain.array).all()


def test_a_negative_slope_turns_a_radiograph_too():
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    falling = read_series([made(stored, "CR", RescaleSlope=-1, RescaleIntercept=65535)]).array[0]
    assert (np.diff(falling.ravel().astype(int)) == -1).all()


def test_signed_values_and_unused_bits():
    signed = np.array([[-5, 0], [7, -2048]], np.int16)
    hu = read_series([made(signed & 0x0FFF, BitsStored=12, HighBit=11, RescaleIntercept=0)])
    assert (hu.array[0] == signed).all()
    overlaid = np.array([[100 | 0xF000, 200]], np.uint16)  # an overlay in the bits above 12
    refused("bits_beyond_stored", made(overlaid, BitsStored=12, HighBit=11))
    with_overlay = dataset(overlaid, BitsStored=12, HighBit=11)
    with_overlay.add_new(0x60000100, "US", 16)
    with_overlay.add_new(0x60000102, "US", 12)
    assert read_series([to_bytes(with_overlay)]).array.tolist() == [[[-924, -824]]]
    radiograph = read_series([made(np.array([[-5, 5]], np.int16), "CR")]).array
    assert radiograph.tolist() == [[[32763, 32773]]]


def test_padding_is_never_bright():
    stored = np.array([[65535, 1024], [1100, 65535]], np.uint16)
    assert read_series([made(stored, PixelPaddingValue=65535)]).array.tolist() == [[[-1024, 0], [76, -1024]]]
    low = np.array([[-2000, 24]], np.int16)
    assert read_series([made(low, PixelPaddingValue=-2000)]).array.tolist() == [[[-3024, -1000]]]
    film = read_series([made(stored, "DX", PixelPaddingValue=65535)]).array[0]
    assert film[0, 0] == 1024 and film.max() == 1100


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_lossless_compression_changes_nothing(syntax):
    stored = np.random.default_rng(1).integers(0, 4096, (32, 48)).astype(np.uint16)
    ds = dataset(stored, BitsStored=12, HighBit=11)
    plain = read_series([to_bytes(ds)]).array
    ds.compress(syntax)
    assert (read_series([to_bytes(ds)]).array == plain).all()


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", None])
def test_colour_becomes_grey(name):
    if name:
        ds = pydicom.dcmread(get_testdata_file(name))
        ds.Modality = "CR"
    else:
        ds = dataset(np.full((100, 100), 0, np.uint8), "CR", SamplesPerPixel=3)
        ds.PhotometricInterpretation, ds.PlanarConfiguration = "RGB", 0
        ds.PixelData = bytes([255, 0, 0]) * 10000
    pixels = read_series([to_bytes(ds)])
    red = pixels.array[0, 5, 50]  # the uppermost bar of pydicom's test picture is pure red
    assert pixels.array.shape == (1, 100, 100) and red == pytest.approx(0.299 * 255, abs=2)


def test_enhanced_ct_frames_are_sorted_and_rescaled_one_by_one():
    frames = np.stack([np.full((2, 2), 100, np.uint16), np.full((2, 2), 200, np.uint16)])
    ds = dataset(frames, NumberOfFrames=2, SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1")
    for keyword in ("RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(ds, keyword)
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for z, intercept in ((10, -1000), (5, -500)):
        group = Dataset()
        group.PlanePositionSequence = Sequence([Dataset()])
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, z]
        group.PixelValueTransformationSequence = Sequence([Dataset()])
        group.PixelValueTransformationSequence[0].RescaleIntercept = intercept
        group.PixelValueTransformationSequence[0].RescaleSlope = 1
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    pixels = read_series([to_bytes(ds)])
    assert pixels.array[:, 0, 0].tolist() == [-300, -900] and pixels.spacing_mm == (5.0, 0.5, 0.25)
    del ds.PerFrameFunctionalGroupsSequence
    refused("order_unknown", to_bytes(ds))


def test_the_header_holds_technical_facts_only():
    ds = dataset(FLAT, PatientName="Geheim^Person", ContrastBolusAgent="Iohexol", ConvolutionKernel=["B60f"])
    header = read_header(to_bytes(ds))
    assert header.contrast and header.convolution_kernel == "B60f" and header.slice_thickness_mm == 5
    assert "Geheim" not in repr(header) and "P1" not in repr(header)


@pytest.mark.parametrize(
    "agent, description, enhanced",
    [
        ("NO", "", False),
        ("& NON IONIC", "", True),
        ("", "胸部增强 动脉期", True),
        ("", "胸部平扫", False),
        ("", "CHEST C+", True),
        ("", "Lung 5.0 +C", True),
        ("", "NON ENHANCED CHEST", False),
    ],
)
def test_contrast_is_read_from_agent_or_description(agent, description, enhanced):
    blob = made(FLAT, SpecificCharacterSet="GB18030", ContrastBolusAgent=agent, SeriesDescription=description)
    assert read_header(blob).contrast is enhanced


def test_files_without_preamble_are_read():
    ds = dataset(FLAT)
    out = BytesIO()
    del ds.file_meta
    ds.preamble = None
    pydicom.dcmwrite(out, ds, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert out.getvalue()[128:132] != b"DICM"
    assert (read_series([out.getvalue()]).array == 0).all()


def test_pointers_reach_into_archives(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("a/1.dcm", made(FLAT))
    assert (read_series([f"{archive}!a/1.dcm"]).array == 0).all()
    for pointer, reason in (
        (f"{archive}!a/2.dcm", "file_missing"),
        (f"{tmp_path}/none.zip!a", "file_missing"),
        (str(tmp_path / "none.dcm"), "file_missing"),
        (str(tmp_path), "file_unreadable"),
    ):
        with pytest.raises(DataError) as error:
            read_bytes(pointer)
        assert error.value.reason == reason
    (tmp_path / "torn.zip").write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DataError, match="archive_unreadable"):
        read_bytes(f"{tmp_path}/torn.zip!a/1.dcm")


@pytest.mark.data
def test_the_zoo_is_read_or_refused_by_name():
    zoo = store.data_folder() / "dicom_zoo" / "files.zip"
    if not zoo.exists():
        pytest.skip(f"{zoo} is absent")
    read, reasons = {}, {}
    for name in zipfile.ZipFile(zoo).namelist():
        try:
            read[name] = read_series([f"{zoo}!{name}"])
        except DataError as error:
            reasons[name] = error.reason
    ct = [read[f"dicom-test-files__CT1_{s}.dcm"].array for s in ("J2KR", "JLSL", "JPLL", "RLE")]
    ct.append(read["dicomParser__CT1_UNC.explicit_big_endian.dcm"].array)
    assert all((c == ct[0]).all() for c in ct) and (ct[0].min(), ct[0].max()) == (-3024, 1254)
    film = read["fo-dicom__CR-MONO1-10-chest.dcm"].array  # MONOCHROME1, no preamble, no file meta
    assert film[0, 200, 220] > film[0, 20, 20]
    assert reasons["pydicom__rtplan.dcm"] == reasons["fo-dicom__GH178.dcm"] == "not_an_image"
    assert reasons["TotalSegmentator__example_ct_sm.nii.gz"] == "not_dicom"
    assert reasons["pydicom__MR_truncated.dcm"] == "pixel_data_truncated"
    assert reasons["dcm4che__3gb-bulk-data-truncated.dcm"] == "pixel_data_truncated"
    assert reasons["pydicom__DICOMDIR"] == "dicomdir"
    assert reasons["dicomParser__CT0012.fragmented_no_bot_jpeg_ls.80.dcm"] == "no_hounsfield_units"
    assert len(read) >= 18


def test_padding_is_dark_in_the_window_of_the_paper():
    assert window(np.array([decode.AIR_HU]))[0] < 0.1


@pytest.mark.parametrize(
    "code, view", [("R-10206", "AP"), ("272479007", "PA"), ("R-10236", "LL"), ("x", None)]
)
def test_a_view_that_is_told_by_code_is_known(code, view):
    item = Dataset()
    item.CodeValue = code
    assert read_header(made(FLAT, "DX", ViewCodeSequence=Sequence([item]))).view_position == view
    said = made(FLAT, "DX", ViewCodeSequence=Sequence([item]), ViewPosition="RL")
    assert read_header(said).view_position == "RL"
