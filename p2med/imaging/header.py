"""A DICOM header: guarded parsing, and the technical facts that hold no identity."""

import logging
import os
import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from p2med.errors import DataError
from p2med.imaging.elements import integer, multiple, number, numbers
from p2med.imaging.source import map_file, open_file, read_bytes, split_pointer
from p2med.imaging.structure import Buffer, check_structure

# pydicom's warnings quote the value that they complain about, so neither they nor its log may reach a log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

Source = bytes | str | os.PathLike[str]

MODALITIES = ("CR", "DX", "CT")
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENCAPSULATED_DOCUMENT = "1.2.840.10008.5.1.4.1.1.104."
DICOMDIR = "1.2.840.10008.1.3.10"
MODALITY_OF_CLASS = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    ENHANCED_CT: "CT",
}
PROJECTIONS = {
    *("MIP", "MINIP", "MNIP", "MAX_IP", "MIN_IP", "MAXIMUM_INTENSITY", "PROJECTION IMAGE"),
    *("VRT", "SSD", "VOLUME_RENDER"),
}
# View Code Sequence, CID 4010: a DX names its view by code, and may leave ViewPosition out.
VIEW_OF_CODE = {
    **dict.fromkeys(("R-10206", "399348003"), "AP"),
    **dict.fromkeys(("R-10214", "272479007"), "PA"),
    **dict.fromkeys(("R-10236", "399173006"), "LL"),
    **dict.fromkeys(("R-10232", "399198007"), "RL"),
}
_NO_AGENT = {"", "NO", "NONE", "N", "N/A", "NA", "0", "无", "平扫", "未用"}
_ENHANCED_WORDS = re.compile(
    r"增强|动脉期|静脉期|延迟期|(?<![A-Z])C\+|\+C\b|\bCE\b|\bENHANCED?\b", re.IGNORECASE
)
_PLAIN_WORDS = re.compile(r"平扫|C-|\bNON|\bW/?O\b|WITHOUT", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """Technical facts of one instance (or one frame); every field is a number or a short code."""

    modality: str
    sop_class_uid: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None = None
    """Stored values of no meaning, both bounds included."""
    rescale: tuple[float, float] | None = None
    """Slope and intercept."""
    rescale_type: str | None = None
    image_type: tuple[str, ...] = ()
    view_position: str | None = None
    contrast: bool = False
    slice_thickness_mm: float | None = None
    spacing_between_slices_mm: float | None = None
    convolution_kernel: str | None = None
    body_part: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None  # y, x
    orientation: tuple[float, ...] | None = None  # row x y z, column x y z
    position: tuple[float, ...] | None = None  # x, y, z
    slice_location: float | None = None
    instance_number: int | None = None
    gantry_tilt_degrees: float | None = None
    burned_in: bool | None = None

    @property
    def is_localizer(self) -> bool:
        return "LOCALIZER" in self.image_type

    @property
    def is_projection(self) -> bool:
        """A rendering or a projection of many slices: its values are no densities of one place."""
        return not PROJECTIONS.isdisjoint(self.image_type)

    @property
    def is_secondary_capture(self) -> bool:
        return self.sop_class_uid.startswith(SECONDARY_CAPTURE)


def parse(source: Source, pixels: bool = True) -> Dataset:
    """Read a DICOM data set; files without preamble or file meta are read too.

    Args:
      source: bytes, a path, or a pointer `archive.zip!member`.
      pixels: False stops before the pixel data, which is much cheaper.

    Raises:
      DataError: `not_dicom`, `dicom_unreadable`, or the reasons of source.py and structure.py.
    """
    if isinstance(source, bytes) or split_pointer(source)[1] is not None:
        blob = source if isinstance(source, bytes) else read_bytes(source)
        return _parse(BytesIO(blob), blob, pixels)
    with open_file(source) as file, map_file(file) as content:
        return _parse(file, content, pixels)


def _parse(stream: BinaryIO, content: Buffer, pixels: bool) -> Dataset:
    head = bytes(content[:132])
    forced = head[128:132] != b"DICM"
    if forced and not _looks_like_dicom(head):
        raise DataError("not_dicom", "there is no DICOM preamble and no data element at the start")
    check_structure(content, pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(stream, stop_before_pixels=not pixels, force=forced)
            _complete_meta(dataset)
            # Sequences are parsed lazily; asking for one class now keeps the failure inside this guard.
            dataset.get("SOPClassUID")
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a parser written in C or Rust raises anything
        raise DataError("dicom_unreadable", type(error).__name__) from None
    return dataset


def _looks_like_dicom(head: bytes) -> bool:
    """True when the first element is of group 0002 or 0008, in either byte order."""
    return len(head) >= 8 and head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")


def _complete_meta(dataset: Dataset) -> None:
    """The transfer syntax that was found, where it is missing or plain but of the wrong kind."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    declared = dataset.file_meta.get("TransferSyntaxUID")
    if declared and (declared.is_compressed or declared.is_private):
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def technical(dataset: Dataset) -> Header:
    """The technical facts of a parsed data set.

    Raises:
      DataError: `not_an_image`, `modality_not_supported`, `dicom_unreadable`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _technical(dataset)
    except DataError:
        raise
    except Exception as error:  # a malformed value may raise anything when it is converted
        raise DataError("dicom_unreadable", f"a technical element: {type(error).__name__}") from None


def _technical(dataset: Dataset) -> Header:
    sop_class = _sop_class(dataset)
    rows, columns = integer(dataset.get("Rows")), integer(dataset.get("Columns"))
    if not rows or not columns or min(rows, columns) < 1:
        raise DataError("not_an_image", "Rows or Columns is missing")
    by_class = MODALITY_OF_CLASS.get(sop_class)
    modality = str(dataset.get("Modality") or by_class or "").strip().upper()
    if modality not in MODALITIES:
        raise DataError("modality_not_supported", f"only {', '.join(MODALITIES)} are read")
    if sop_class and by_class is None and not sop_class.startswith(SECONDARY_CAPTURE):
        raise DataError("sop_class_not_accepted", "neither a radiograph nor a CT, whatever its modality says")
    if by_class and (by_class == "CT") != (modality == "CT"):
        raise DataError("modality_contradicts_class", "a CT that is stored as a radiograph, or the reverse")
    bits_allocated = integer(dataset.get("BitsAllocated")) or 16
    bits_stored = integer(dataset.get("BitsStored")) or bits_allocated
    high_bit = integer(dataset.get("HighBit"))
    signed = integer(dataset.get("PixelRepresentation")) == 1
    return Header(
        modality=modality,
        sop_class_uid=sop_class,
        rows=rows,
        columns=columns,
        frames=max(1, integer(dataset.get("NumberOfFrames")) or 1),
        samples=integer(dataset.get("SamplesPerPixel")) or 1,
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else high_bit,
        signed=signed,
        padding=_padding(dataset, signed, bits_allocated),
        rescale=_rescale(dataset),
        rescale_type=str(dataset.get("RescaleType") or "").strip().upper() or None,
        image_type=tuple(str(v).upper() for v in multiple(dataset.get("ImageType"))),
        view_position=_view(dataset),
        contrast=_is_enhanced(dataset),
        slice_thickness_mm=number(dataset.get("SliceThickness")),
        spacing_between_slices_mm=number(dataset.get("SpacingBetweenSlices")),
        convolution_kernel=_kernel(dataset),
        body_part=str(dataset.get("BodyPartExamined") or "").strip().upper() or None,
        pixel_spacing_mm=_pair(dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")),
        orientation=numbers(dataset.get("ImageOrientationPatient"), 6),
        position=numbers(dataset.get("ImagePositionPatient"), 3),
        slice_location=number(dataset.get("SliceLocation")),
        instance_number=integer(dataset.get("InstanceNumber")),
        gantry_tilt_degrees=number(dataset.get("GantryDetectorTilt")),
        burned_in={"YES": True, "NO": False}.get(str(dataset.get("BurnedInAnnotation")).upper()),
    )


def _sop_class(dataset: Dataset) -> str:
    """The class of the data set, or of the file meta.

    Raises:
      DataError: `encapsulated_document`, `dicomdir`: DICOM, but by their nature no image.
    """
    found = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "").strip()
    if found.startswith(ENCAPSULATED_DOCUMENT):
        raise DataError("encapsulated_document", "a PDF or another document in a DICOM file")
    if found == DICOMDIR or (not found and "DirectoryRecordSequence" in dataset):
        raise DataError("dicomdir", "a directory of other files; the files themselves are read")
    return found


def _padding(dataset: Dataset, signed: bool, bits: int) -> tuple[int, int] | None:
    first = integer(dataset.get("PixelPaddingValue"))
    if first is None:
        return None
    last = integer(dataset.get("PixelPaddingRangeLimit"))
    ends = sorted(_as_stored(v, signed, bits) for v in (first, first if last is None else last))
    return ends[0], ends[1]


def _as_stored(value: int, signed: bool, bits: int) -> int:
    """Undo a value written with the wrong sign (implicit VR cannot tell US from SS)."""
    if signed and value >= 1 << (bits - 1):
        return value - (1 << bits)
    return value + (1 << bits) if not signed and value < 0 else value


def _rescale(dataset: Dataset) -> tuple[float, float] | None:
    slope, intercept = number(dataset.get("RescaleSlope")), number(dataset.get("RescaleIntercept"))
    if intercept is None:
        return None
    return (1.0 if slope is None else slope), intercept


def _is_enhanced(dataset: Dataset) -> bool:
    agent = str(dataset.get("ContrastBolusAgent") or "").strip().upper()
    if agent not in _NO_AGENT:
        return True
    description = str(dataset.get("SeriesDescription") or "")
    return bool(_ENHANCED_WORDS.search(description)) and not _PLAIN_WORDS.search(description)


def _view(dataset: Dataset) -> str | None:
    said = str(dataset.get("ViewPosition") or "").strip().upper()
    codes = [str(item.get("CodeValue") or "").strip() for item in dataset.get("ViewCodeSequence") or []]
    return said or next((VIEW_OF_CODE[c] for c in codes if c in VIEW_OF_CODE), None)


def _kernel(dataset: Dataset) -> str | None:
    return "/".join(str(v).strip() for v in multiple(dataset.get("ConvolutionKernel"))) or None


def _pair(value: Any) -> tuple[float, float] | None:
    found = numbers(value, 2)
    return (found[0], found[1]) if found and min(found) > 0 else None
