"""Image studies whose truth is known, stored in every odd way; the reader must find the truth or say why not.

The truth is a volume in HU (feet first, columns to the left, rows to the back) or a film (bright = dense).
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
from dicom_maker import dataset, to_bytes
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from p2med.errors import DataError

ROWS, COLUMNS, STEP_MM = 40, 48, 5.0
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
COMPRESSED = (RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1)


@dataclass(frozen=True)
class Made:
    """`truth` is what must be read; None: the files must be refused for `reason`."""

    name: str
    files: list[bytes]
    truth: np.ndarray | None = None
    reason: str = ""


def studies(seed: int) -> Iterator[Made]:
    """About 130 studies; another seed draws other anatomies, orders and numbers."""
    random = np.random.default_rng(seed)
    for part in (
        _stored,
        _syntaxes,
        _padding,
        _orders,
        _directions,
        _enhanced,
        _films,
        _no_units,
        _no_volume,
        _no_image,
    ):
        yield from part(random)


def phantom(random: np.random.Generator, depth: int) -> np.ndarray:
    """int16[D, H, W] in HU: air, a body, two lungs, bone; no symmetry, so that every flip shows."""
    z, y, x = np.meshgrid(np.arange(depth), np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    y, x, hu = y / 2, x / 2, np.full(z.shape, -1000.0)
    hu[(x - 12) ** 2 / 110 + (y - 10) ** 2 / 80 < 1] = 40
    hu[(x - 7) ** 2 / 12 + (y - 9) ** 2 / 30 < 1] = -850
    hu[(x - 17) ** 2 / 9 + (y - 10) ** 2 / 25 < 1] = -820
    hu[(x - 12) ** 2 + (y - 17) ** 2 < 5] = 700
    return np.rint(hu + random.normal(0, 15, hu.shape) + 3 * z).clip(-1024, 3000).astype(np.int16)


def written(ds: FileDataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The file in a transfer syntax."""
    if syntax == JPEGLosslessSV1:
        return _by_gdcm(to_bytes(ds))
    if syntax in COMPRESSED:
        ds.compress(syntax)
        return to_bytes(ds)
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}").byteswap().tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    out = BytesIO()
    little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    plain = FileDataset(
        None,
        ds,
        file_meta=ds.file_meta,
        preamble=b"\0" * 128,
        is_implicit_VR=implicit,
        is_little_endian=little,
    )
    dcmwrite(out, plain, enforce_file_format=True)
    return out.getvalue()


def _by_gdcm(blob: bytes) -> bytes:
    """JPEG Lossless, which pydicom cannot write."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.dcm")
        Path(path).write_bytes(blob)
        reader = gdcm.ImageReader()
        reader.SetFileName(path)
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(path)
        assert writer.Write()
        return Path(path).read_bytes()


Change = Callable[[FileDataset, int], None]


def series(
    truth: np.ndarray,
    change: Change = lambda ds, n: None,
    slope: float = 1,
    intercept: float = -1024,
    dtype: type = np.uint16,
    syntax: str = ExplicitVRLittleEndian,
    bits: int = 16,
) -> list[bytes]:
    """One file a slice, the truth stored as (HU - intercept) / slope; `change` is applied to each."""
    stored = np.rint((truth - intercept) / slope).astype(dtype)
    files = []
    for n, plane in enumerate(stored):
        ds = dataset(plane, RescaleSlope=slope, RescaleIntercept=intercept, BitsStored=bits, HighBit=bits - 1)
        ds.SOPInstanceUID = f"1.2.3.4.{n + 1}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.InstanceNumber, ds.ImagePositionPatient = n + 1, [-100, -90, -300 + STEP_MM * n]
        change(ds, n)
        files.append(written(ds, syntax))
    return files


def _shuffled(files: list[bytes], random: np.random.Generator) -> list[bytes]:
    return [files[i] for i in random.permutation(len(files))]


def _set(**elements) -> Change:
    def change(ds: FileDataset, n: int) -> None:
        for keyword, value in elements.items():
            if value is None:
                delattr(ds, keyword)
            elif isinstance(value, tuple):  # a VR of our own choice
                ds.add_new(keyword, *value)
            else:
                setattr(ds, keyword, value(n) if callable(value) else value)

    return change


def _stored(random: np.random.Generator) -> Iterator[Made]:
    """Bits, signs, slopes."""
    for dtype, bits, slope, intercept in (
        *((np.uint16, b, 1, i) for b in (12, 13, 14, 16) for i in (-1024, -1024.0)),
        *((np.int16, b, 1, i) for b, i in ((13, 0), (14, -24), (16, 0), (16, -1024), (12, 1000))),
        *(
            (np.uint16, 16, s, i)
            for s, i in ((0.5, -1024), (0.25, -2048), (0.1, -1024), (2, -1024), (1.5, -1024.5))
        ),
        *((np.int16, 16, s, i) for s, i in ((0.1, 0), (-1, 0), (-0.5, 100))),
    ):
        truth = phantom(random, 4)
        truth = np.rint(np.rint((truth.astype(float) - intercept) / slope) * slope + intercept)
        top = truth.max() if slope < 0 else truth.min()
        if dtype is np.int16 and bits < 16:
            truth = truth.clip(
                slope * -(1 << (bits - 1)) + intercept, slope * ((1 << (bits - 1)) - 1) + intercept
            )
        if dtype is np.uint16 and bits == 12:
            truth = truth.clip(top, 4095 + intercept)
        files = series(truth, slope=slope, intercept=intercept, dtype=dtype, bits=bits)
        yield Made(f"stored_{dtype.__name__}_{bits}_{slope}_{intercept}", files, truth)
    truth = phantom(random, 4).clip(-1024, 2047)
    signs = _set(PixelData=lambda n: (truth[n].astype(np.int16) & 0x0FFF).tobytes())
    yield Made("sign_not_extended", series(truth, signs, intercept=0, dtype=np.int16, bits=12), truth)
    high = _set(PixelData=lambda n: ((truth[n] + 1024).astype(np.uint16) << 4).tobytes(), HighBit=15)
    yield Made("high_bit_15_of_12", series(truth, high, bits=12), truth)
    yield Made("monochrome1", series(truth, _set(PhotometricInterpretation="MONOCHROME1")), truth)
    slopes = [1, 2, 0.5, 4]
    stepped = np.stack(
        [np.rint(np.rint((t + 1024) / s) * s - 1024) for t, s in zip(truth, slopes, strict=True)]
    )
    own = _set(
        RescaleSlope=lambda n: slopes[n],
        PixelData=lambda n: np.rint((stepped[n] + 1024) / slopes[n]).astype(np.uint16).tobytes(),
    )
    yield Made("a_slope_for_each_slice", series(stepped, own), stepped)
    yield Made("window_of_another", series(truth, _set(WindowCenter=3000, WindowWidth=1)), truth)

    def overlay(ds: FileDataset, n: int) -> None:
        ds.PixelData = (
            (truth[n] + 1024).astype(np.uint16)
            | (random.integers(0, 16, truth[n].shape) << 12).astype(np.uint16)
        ).tobytes()
        ds.add_new(0x60000010, "US", ROWS)
        ds.add_new(0x60000100, "US", 16)
        ds.add_new(0x60000102, "US", 12)

    yield Made("overlay_in_unused_bits", series(truth, overlay, bits=12), truth)


def _syntaxes(random: np.random.Generator) -> Iterator[Made]:
    for syntax in (*NATIVE, *COMPRESSED):
        for dtype, bits, intercept in ((np.uint16, 12, -1024), (np.uint16, 16, -1024), (np.int16, 16, 0)):
            truth = phantom(random, 3).clip(-1024, 3071)
            files = series(truth, intercept=intercept, dtype=dtype, bits=bits, syntax=syntax)
            yield Made(f"{syntax.name}_{dtype.__name__}_{bits}", _shuffled(files, random), truth)
    truth = phantom(random, 3)
    for syntax in NATIVE[:3]:
        files = series(truth, syntax=syntax)
        yield Made(f"no_file_meta_{syntax.name}", [f[_dataset_start(f) :] for f in files], truth)
    swaps = (
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ExplicitVRBigEndian),
        (ExplicitVRBigEndian, ExplicitVRLittleEndian),
    )
    for real, said in swaps:
        files = [_relabelled(f, said) for f in series(truth, syntax=real)]
        fault = "transfer_syntax_contradicts_data" if ExplicitVRBigEndian in (real, said) else ""
        yield Made(f"{real.name}_called_{said.name}", files, None if fault else truth, fault)
    lie = [_relabelled(f, RLELossless) for f in series(truth)]
    yield Made("plain_called_rle", lie, reason="transfer_syntax_contradicts_pixels")
    lie = [_relabelled(f, ExplicitVRLittleEndian) for f in series(truth, syntax=RLELossless)]
    yield Made("rle_called_plain", lie, reason="transfer_syntax_contradicts_pixels")


def _dataset_start(blob: bytes) -> int:
    return 144 + int.from_bytes(blob[140:144], "little")


def _relabelled(blob: bytes, syntax: str) -> bytes:
    """The same data set under another transfer syntax's name."""
    start = _dataset_start(blob)
    meta = dcmread(BytesIO(blob), stop_before_pixels=True, specific_tags=[0x00080018]).file_meta
    meta.TransferSyntaxUID = syntax
    out = BytesIO()
    file = DicomFileLike(out)
    file.is_little_endian, file.is_implicit_VR = True, False
    out.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(file, meta)
    return out.getvalue() + blob[start:]


def _padding(random: np.random.Generator) -> Iterator[Made]:
    """Padding is at most air; everything else stays as it was."""
    truth = phantom(random, 4).clip(-1023, 3000)
    outside = np.zeros(truth.shape, bool)
    outside[:, :3], outside[:, :, :2] = True, True
    for name, dtype, intercept, value, elements in (
        ("signed_-2000", np.int16, 0, -2000, {"PixelPaddingValue": -2000}),
        ("unsigned_63536", np.uint16, -1024, 63536, {"PixelPaddingValue": 63536}),
        ("bright_32767", np.int16, -1024, 32767, {"PixelPaddingValue": 32767}),
        ("signed_written_unsigned", np.int16, 0, -2000, {"PixelPaddingValue": ("US", 63536)}),
        ("range", np.uint16, -1024, 65000, {"PixelPaddingValue": 64000, "PixelPaddingRangeLimit": 65535}),
        ("zero", np.uint16, -1024, 0, {"PixelPaddingValue": 0}),
    ):
        stored = np.where(outside, value, truth - intercept).astype(dtype)
        change = _set(PixelData=lambda n, s=stored: s[n].tobytes(), **elements)
        expected = np.where(outside, np.minimum(value + intercept, -1024), truth)
        yield Made(f"padding_{name}", series(truth, change, intercept=intercept, dtype=dtype), expected)
    stored = np.where(outside, 63536, truth + 1024).astype(np.uint16)
    change = _set(PixelData=lambda n: stored[n].tobytes())
    yield Made("padding_undeclared_63536", series(truth, change), reason="hounsfield_out_of_range")
    change = _set(PixelData=lambda n: stored[n].tobytes(), PixelPaddingValue=63536)
    yield Made("padding_beyond_12_bits", series(truth, change, bits=12), np.where(outside, -1024, truth))


def _orders(random: np.random.Generator) -> Iterator[Made]:
    truth = phantom(random, 7)
    files = series(truth)
    yield Made("shuffled", _shuffled(files, random), truth)
    yield Made(
        "numbers_reversed", _shuffled(series(truth, _set(InstanceNumber=lambda n: 100 - n)), random), truth
    )
    yield Made("numbers_all_one", _shuffled(series(truth, _set(InstanceNumber=1)), random), truth)
    yield Made(
        "locations_lie", _shuffled(series(truth, _set(SliceLocation=lambda n: (n * 3) % 7)), random), truth
    )
    half = _set(ImagePositionPatient=lambda n: [0, 0, 0.625 * n])
    yield Made("thin", _shuffled(series(truth, half), random), truth)
    jitter = _set(ImagePositionPatient=lambda n: [0, 0, round(5 * n + float(random.uniform(-0.1, 0.1)), 3)])
    yield Made("jitter", _shuffled(series(truth, jitter), random), truth)
    copies = series(truth, _set(SOPInstanceUID=lambda n: f"9.9.{n}"))[2:4]
    yield Made("copies", _shuffled([*files, *copies], random), truth)
    flat = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    yield Made(
        "by_location",
        _shuffled(series(truth, _set(**flat, SliceLocation=lambda n: -40 + 2.5 * n)), random),
        truth,
    )
    yield Made("by_number", _shuffled(series(truth, _set(**flat)), random), truth)
    yield Made("no_order", series(truth, _set(**flat, InstanceNumber=None)), reason="order_unknown")
    number = _set(**flat, InstanceNumber=lambda n: n + (n > 2))
    yield Made("missing_by_number", series(truth, number), reason="missing_slices")
    other = series(truth[::-1], _set(ImagePositionPatient=lambda n: [-100, -90, -300 + STEP_MM * n]))
    yield Made("two_at_one_place", [*files, other[1]], reason="duplicate_position")
    yield Made("two_phases", [*files, *other], reason="duplicate_position")
    hole = int(random.integers(1, 6))
    yield Made("missing", [f for n, f in enumerate(files) if n != hole], reason="missing_slices")
    yield Made("two_missing", [f for n, f in enumerate(files) if n not in (2, 3)], reason="missing_slices")
    wider = _set(ImagePositionPatient=lambda n: [0, 0, 5 * n + 2.2 * max(0, n - 3)])
    yield Made("mixed_spacing", series(truth, wider), reason="mixed_spacing")


def _directions(random: np.random.Generator) -> Iterator[Made]:
    """Each of the eight ways to lay an axial slice: the same body must come out."""
    truth = phantom(random, 5)
    for transpose in (False, True):
        for rows in (False, True):
            for columns in (False, True):
                row, column = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
                planes = truth
                if rows:
                    planes, column = planes[:, ::-1], -column
                if columns:
                    planes, row = planes[:, :, ::-1], -row
                if transpose:
                    planes, row, column = planes.transpose(0, 2, 1), column, row
                change = _set(ImageOrientationPatient=[*row, *column])
                files = series(np.ascontiguousarray(planes), change)
                yield Made(f"laid_{transpose}_{rows}_{columns}", _shuffled(files, random), truth)
    for degrees in (3.0, 8.0, 20.0):
        tilt = np.radians(degrees)
        direction = [1, 0, 0, 0, float(np.cos(tilt)), float(-np.sin(tilt))]
        normal = np.cross(direction[:3], direction[3:])
        straight = _set(
            ImageOrientationPatient=direction,
            ImagePositionPatient=lambda n, normal=normal: [float(v) for v in 5 * n * normal],
        )
        yield Made(f"oblique_{degrees}", _shuffled(series(truth, straight), random), truth)
        sheared = _set(ImageOrientationPatient=direction, GantryDetectorTilt=degrees)
        yield Made(f"tilted_{degrees}", series(truth, sheared), reason="gantry_tilt")
    moved = _set(ImagePositionPatient=lambda n: [0, 30.0 * (n == 2), 5.0 * n])
    yield Made("field_of_view_moves", series(truth, moved), reason="shifted_slices")
    for name, direction in (("coronal", [1, 0, 0, 0, 0, -1]), ("sagittal", [0, 1, 0, 0, 0, -1])):
        normal = np.cross(direction[:3], direction[3:])
        flat = _set(
            ImageOrientationPatient=direction,
            ImagePositionPatient=lambda n, normal=normal: [float(v) for v in 5 * n * normal],
        )
        yield Made(name, series(truth, flat), reason="not_axial")
    mixed = _set(ImageOrientationPatient=lambda n: [1, 0, 0, 0, 0, -1] if n == 3 else [1, 0, 0, 0, 1, 0])
    yield Made("one_coronal_among_axial", series(truth, mixed), reason="mixed_orientation")
    unknown = _set(ImagePositionPatient=None, ImageOrientationPatient=None, GantryDetectorTilt=12)
    yield Made("tilted_without_positions", series(truth, unknown), reason="gantry_tilt")


def enhanced(truth: np.ndarray, random: np.random.Generator, shared_rescale: bool, **elements) -> FileDataset:
    """One multi-frame file, frames in a drawn order."""
    order = random.permutation(len(truth))
    intercepts = [-1024] * len(truth) if shared_rescale else [-1024 - 10 * int(i) for i in order]
    stored = np.stack([truth[i] - b for i, b in zip(order, intercepts, strict=True)]).astype(np.uint16)
    ds = dataset(
        stored,
        NumberOfFrames=len(truth),
        RescaleSlope=None,
        RescaleIntercept=None,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelSpacing=None,
    )
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.5, 0.5], SliceThickness=5)]
    if shared_rescale:
        shared.PixelValueTransformationSequence = [
            _item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")
        ]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for i, intercept in zip(order, intercepts, strict=True):
        frame = Dataset()
        frame.PlanePositionSequence = [_item(ImagePositionPatient=[0, 0, float(3 * i)])]
        if not shared_rescale:
            frame.PixelValueTransformationSequence = [
                _item(RescaleIntercept=intercept, RescaleSlope=1, RescaleType="HU")
            ]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def _item(**elements) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _enhanced(random: np.random.Generator) -> Iterator[Made]:
    for shared in (True, False):
        for syntax in (ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless):
            truth = phantom(random, 6)
            yield Made(
                f"enhanced_{shared}_{syntax.name}", [written(enhanced(truth, random, shared), syntax)], truth
            )
    truth = phantom(random, 5)
    ds = enhanced(truth, random, True)
    del ds.PerFrameFunctionalGroupsSequence
    yield Made("enhanced_without_frames", [written(ds)], reason="order_unknown")
    ds = enhanced(truth, random, True)
    ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType = "US"
    yield Made("enhanced_no_hu", [written(ds)], reason="no_hounsfield_units")
    ds = enhanced(truth, random, True)
    ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleSlope = 0
    yield Made("enhanced_slope_zero", [written(ds)], reason="no_hounsfield_units")
    ds = enhanced(truth, random, True)
    ds.PerFrameFunctionalGroupsSequence[1].CTImageFrameTypeSequence = [
        _item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
    ]
    yield Made("enhanced_scout_inside", [written(ds)], reason="localizer")
    ds = enhanced(truth, random, True)
    del ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    yield Made("enhanced_frame_without_place", [written(ds)], reason="order_unknown")


def film(random: np.random.Generator) -> np.ndarray:
    """uint16[H, W] 0..4095, bright = dense."""
    body = phantom(random, 1)[0].astype(float)
    return np.rint((body + 1024) / 4024 * 4000).astype(np.uint16)


def _table(values: list[int], first: int, bits: int) -> Dataset:
    return _item(
        LUTDescriptor=[len(values) % 65536, first, bits], LUTData=np.array(values, np.uint16).tobytes()
    )


def _films(random: np.random.Generator) -> Iterator[Made]:
    f = film(random)

    def one(
        name: str,
        stored: np.ndarray,
        truth: np.ndarray | None = f,
        reason: str = "",
        syntax: str = ExplicitVRLittleEndian,
        **elements,
    ) -> Made:
        elements = {"BitsStored": 12, "HighBit": 11, **elements}
        truth = None if reason or truth is None else truth[None]
        return Made(f"film_{name}", [written(dataset(stored, "DX", **elements), syntax)], truth, reason)

    for syntax in (*NATIVE, *COMPRESSED):
        yield one(f"{syntax.name}", f, syntax=syntax)
        yield one(
            f"{syntax.name}_monochrome1",
            4095 - f,
            syntax=syntax,
            PhotometricInterpretation="MONOCHROME1",
            PresentationLUTShape="INVERSE",
        )
    yield one("falling_slope", 4095 - f, RescaleSlope=-1, RescaleIntercept=4095)
    yield one(
        "falling_monochrome1",
        f,
        RescaleSlope=-1,
        RescaleIntercept=4095,
        PhotometricInterpretation="MONOCHROME1",
    )
    yield one("rising_slope", f, RescaleSlope=2, RescaleIntercept=-7)
    signed = (f.astype(np.int32) - 2048).astype(np.int16)
    yield one("signed", signed)
    yield one(
        "signed_monochrome1",
        (2047 - f.astype(np.int32)).astype(np.int16),
        PhotometricInterpretation="MONOCHROME1",
    )
    inside = np.zeros(f.shape, bool)
    inside[4:, 3:] = True
    padded = np.where(inside, f, 4095)
    yield one(
        "bright_padding", padded, np.where(inside, f, f[inside & (f != 4095)].min()), PixelPaddingValue=4095
    )
    mono1 = np.where(inside, 4095 - f, 0).astype(np.uint16)
    inside0 = inside & (mono1 != 0)
    yield one(
        "padding_monochrome1",
        mono1,
        np.where(inside0, f, f[inside0].min()),
        PixelPaddingValue=0,
        PhotometricInterpretation="MONOCHROME1",
    )
    curve = [min(65535, round(65535 * (i / 4095) ** 0.5)) for i in range(4096)]
    bent = np.array(curve)[f].astype(np.uint16)
    yield one("modality_table", f, bent, ModalityLUTSequence=[_table(curve, 0, 16)])
    yield one("voi_table", f, bent, VOILUTSequence=[_table(curve, 0, 16)])
    fall = [4095 - i for i in range(4096)]
    yield one("falling_table", 4095 - f, f, ModalityLUTSequence=[_table(fall, 0, 12)])
    yield one(
        "falling_table_monochrome1",
        f,
        f,
        VOILUTSequence=[_table(fall, 0, 12)],
        PhotometricInterpretation="MONOCHROME1",
    )
    yield one(
        "two_tables", f, f, ModalityLUTSequence=[_table(fall, 0, 12)], VOILUTSequence=[_table(fall, 0, 12)]
    )
    short = [i * 4 for i in range(1000)]
    yield one(
        "short_table",
        f,
        (np.clip(f.astype(int) - 100, 0, 999) * 4).astype(np.uint16),
        VOILUTSequence=[_table(short, 100, 12)],
    )
    yield one(
        "table_too_short",
        f,
        reason="lut_not_supported",
        VOILUTSequence=[_item(LUTDescriptor=[4096, 0, 12], LUTData=b"\0\0" * 100)],
    )
    yield one("table_beyond_bits", f, reason="lut_not_supported", VOILUTSequence=[_table(curve, 0, 12)])
    yield one(
        "inverse_monochrome2", f, reason="photometric_contradicts_lut_shape", PresentationLUTShape="INVERSE"
    )
    yield one("palette", f, reason="photometric_not_supported", PhotometricInterpretation="PALETTE COLOR")
    yield one("bits", f | 0x4000, reason="bits_beyond_stored")
    grey = (f >> 4).astype(np.uint8)
    colour = np.stack([grey] * 3, -1)
    for planar in (0, 1):
        pixels = colour if planar == 0 else np.ascontiguousarray(colour.transpose(2, 0, 1))
        ds = dataset(
            grey, "CR", SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=planar
        )
        ds.PixelData = pixels.tobytes()
        yield Made(f"film_colour_{planar}", [to_bytes(ds)], grey[None].astype(np.uint16))
    eight = dataset(grey, "CR")
    yield Made("film_8_bits", [to_bytes(eight)], grey[None].astype(np.uint16))
    two = [written(dataset(f, "DX")), written(dataset(f, "DX"))]
    yield Made("two_films_in_a_series", two, reason="several_radiographs")


def _no_units(random: np.random.Generator) -> Iterator[Made]:
    """Grey values that are not, or cannot be known to be, Hounsfield units."""
    truth = phantom(random, 4)
    table = [_table(list(range(4096)), 0, 16)]
    for name, elements, reason in (
        ("no_intercept", {"RescaleIntercept": None}, "no_hounsfield_units"),
        ("no_rescale", {"RescaleIntercept": None, "RescaleSlope": None}, "no_hounsfield_units"),
        ("slope_zero", {"RescaleSlope": 0}, "no_hounsfield_units"),
        ("type_us", {"RescaleType": "US", "ImageType": ["DERIVED", "PRIMARY", "MAP"]}, "no_hounsfield_units"),
        ("type_density", {"RescaleType": "MGML"}, "no_hounsfield_units"),
        ("modality_table", {"ModalityLUTSequence": table}, "no_hounsfield_units"),
        ("slope_100", {"RescaleSlope": 100}, "hounsfield_out_of_range"),
        ("bits_10_of_12", {"BitsStored": 10, "HighBit": 9}, "bits_beyond_stored"),
        ("bits_0", {"BitsStored": 0, "HighBit": 0, "BitsAllocated": 12}, "bits_not_supported"),
    ):
        yield Made(f"ct_{name}", series(truth, _set(**elements)), reason=reason)
    unspecified = _set(RescaleType="US", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    yield Made("ct_original_of_type_us", series(truth, unspecified), truth)
    last = _set(RescaleIntercept=lambda n: -1024)
    files = series(truth, last)
    yield Made(
        "ct_one_slice_without_rescale",
        [*files[:-1], series(truth, _set(RescaleIntercept=None))[-1]],
        reason="no_hounsfield_units",
    )
    signed = series(truth, _set(PixelRepresentation=0), intercept=0, dtype=np.int16)
    yield Made("ct_signed_called_unsigned", signed, reason="hounsfield_out_of_range")


def _no_volume(random: np.random.Generator) -> Iterator[Made]:
    """Files that are no single volume."""
    truth = phantom(random, 6)
    files = series(truth)
    projected = ["DERIVED", "SECONDARY", "AXIAL", "MIP"]
    yield Made("projections", series(truth, _set(ImageType=projected)), reason="projection")
    for name, elements, reason in (
        ("scout", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ("other_pixel_spacing", {"PixelSpacing": [0.7, 0.7]}, "mixed_pixel_spacing"),
        ("no_pixel_spacing", {"PixelSpacing": None}, "mixed_pixel_spacing"),
        ("other_kernel", {"ConvolutionKernel": "B70f"}, "mixed_kernel"),
        ("a_film", {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}, "mixed_modality"),
        ("mr", {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "modality_not_supported"),
        ("pet_called_ct", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"}, "sop_class_not_accepted"),
        ("film_called_ct", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"}, "modality_contradicts_class"),
    ):
        stranger = series(truth, _set(**elements))[3]
        yield Made(
            f"among_slices_{name}", _shuffled([*files[:3], stranger, *files[4:]], random), reason=reason
        )
    small = series(np.ascontiguousarray(truth[:, :-2]))[3]
    yield Made("among_slices_other_shape", [*files[:3], small, *files[4:]], reason="mixed_shape")
    frames = dataset((truth + 1024).astype(np.uint16), NumberOfFrames=6)
    yield Made("classic_ct_with_frames", [to_bytes(frames)], reason="multi_frame_ct")


def _no_image(random: np.random.Generator) -> Iterator[Made]:
    """Pixel data that is not what the header says."""
    truth = phantom(random, 3)
    files = series(truth)
    cut = int(random.integers(1, 400))
    yield Made("cut", [*files[:2], files[2][:-cut]], reason="pixel_data_truncated")
    yield Made("rows_halved", series(truth, _set(Rows=ROWS // 2)), reason="pixel_data_too_long")
    yield Made("rows_doubled", series(truth, _set(Rows=ROWS * 2)), reason="pixel_data_truncated")
    yield Made(
        "8_bits_said",
        series(truth, _set(BitsAllocated=8, BitsStored=8, HighBit=7)),
        reason="pixel_data_too_long",
    )
    yield Made("32_bits_said", series(truth, _set(BitsAllocated=32)), reason="pixel_data_truncated")
    yield Made("no_pixels", series(truth, _set(PixelData=None)), reason="not_an_image")
    for syntax in (JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1):
        turned = []
        for blob in series(truth, syntax=syntax):
            ds = dcmread(BytesIO(blob))
            ds.Rows, ds.Columns = COLUMNS, ROWS
            turned.append(to_bytes(ds))
        yield Made(f"{syntax.name}_turned", turned, reason="codestream_contradicts_header")
    for syntax in (RLELossless, JPEG2000Lossless):
        ds = dcmread(BytesIO(series(truth, syntax=syntax)[0]))
        ds.NumberOfFrames, ds.SOPClassUID, ds.Modality = 2, "1.2.840.10008.5.1.4.1.1.1", "CR"
        yield Made(f"{syntax.name}_frames", [to_bytes(ds)], reason="multi_frame_radiograph")
    inverted = dcmread(BytesIO(series(truth, syntax=RLELossless)[0]))
    inverted.PixelData = bytes(inverted.PixelData)[: len(inverted.PixelData) // 2]
    out = BytesIO()
    dcmwrite(out, inverted)
    yield Made("rle_cut", [out.getvalue()], reason="pixel_data_truncated")


Read = Callable[[list[bytes]], np.ndarray]


def judge(made: Made, read: Read) -> str:
    """What became of a study: right, silent (read, but not the truth), wrong_reason, wrongly_refused."""
    try:
        array = read(made.files)
    except DataError as error:
        if made.truth is not None:
            return "wrongly_refused"
        return "right" if error.reason == made.reason else "wrong_reason"
    if made.truth is None or array.shape != made.truth.shape:
        return "silent"
    return "right" if np.abs(array.astype(float) - made.truth).max() <= 0.5 else "silent"
