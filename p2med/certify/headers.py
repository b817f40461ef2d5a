"""A DICOM file of a real patient -> the same file with an invented identity in every corner of its header.

PatientName 宋诗梓 -> 欧阳霁珩; words of no meaning in descriptions, private tags, nested sequences, overlays,
preamble and file meta; another character set.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from p2med.certify.canary import Maker
from p2med.certify.plan import Own

Add = Callable[[str, str, bool], None]
"""Registers a header canary: kind, value, known."""
CHARSETS = ("ISO_IR 192", "GB18030", "GBK")
DESCRIPTIONS = (
    "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "PatientComments",
    "AdditionalPatientHistory", "DerivationDescription", "RequestedProcedureDescription", "StationName",
    "PerformedProcedureStepDescription", "StudyComments", "Occupation", "MedicalAlerts", "Allergies",
)  # fmt: skip
LONGEST = {"StationName": 16, "Occupation": 16}
DATES = ("AdmittingDate", "InstanceCreationDate", "LastMenstrualDate", "ScheduledProcedureStepStartDate")
YEARS = (1801, 1899)
"""Apart from the years in texts: a date of a text that is moved must not meet a date of a header."""
# Elements that a clean file may keep: a word instead of a code must not come through.
KEPT = ("ViewPosition", "ConvolutionKernel", "BodyPartExamined", "Manufacturer", "PatientOrientation")


def parse(blob: bytes) -> FileDataset:
    """A file that ingest accepted, its texts decoded."""
    dataset = dcmread(BytesIO(blob), force=True)
    dataset.decode()
    return dataset


def place(blob: bytes) -> float:
    """Where a slice lies along the normal of its plane, mm; 0 for an image without a place."""
    tags = ["ImagePositionPatient", "ImageOrientationPatient"]
    dataset = dcmread(BytesIO(blob), force=True, stop_before_pixels=True, specific_tags=tags)
    at, plane = dataset.get(tags[0]), dataset.get(tags[1])
    if not at or not plane or len(at) != 3 or len(plane) != 6:
        return 0.0
    normal = np.cross([float(v) for v in plane[:3]], [float(v) for v in plane[3:]])
    return float(normal @ np.array([float(v) for v in at]))


@dataclass
class Together:
    """What the files of a series or study share."""

    uids: dict[str, str] = field(default_factory=dict)
    """Real UID -> invented UID."""
    kept: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Series -> an element of KEPT and the word in it: slices of two kernels would be no series."""


def plant_header(dataset: FileDataset, own: Own, together: Together, maker: Maker, add: Add) -> None:
    """Change a dataset in place."""
    dataset.SpecificCharacterSet = maker.random.choice(CHARSETS)
    _identity(dataset, own, maker, add)
    _uids(dataset, together.uids, maker, add)

    def word() -> str:
        made = maker.words()
        add("header_text", made, False)
        return made

    for keyword in DESCRIPTIONS:
        old = str(dataset.get(keyword) or "")
        setattr(dataset, keyword, f"{old} {word()}".strip()[-LONGEST.get(keyword, 60) :])
    series = str(dataset.get("SeriesInstanceUID"))
    if series not in together.kept and (there := [k for k in KEPT if k in dataset]):
        together.kept[series] = (maker.random.choice(there), word())
    if series in together.kept:
        setattr(dataset, *together.kept[series])
    if "ImageType" in dataset and len(dataset.ImageType) > 1:
        dataset.ImageType = [*dataset.ImageType, word()]
    for keyword in DATES:
        day = maker.old_day(*YEARS)
        add("date", f"{day:%Y%m%d}", False)
        setattr(dataset, keyword, f"{day:%Y%m%d}")
    _corners(dataset, word, maker, add)


def _identity(dataset: Dataset, own: Own, maker: Maker, add: Add) -> None:
    def name(kind: str) -> str:
        made = maker.name()
        add(kind, made.chinese, True)
        add("pinyin", made.pinyin, True)
        surname, given = made.pinyin.split(" ", 1)
        return f"{surname}^{given}={made.chinese[:1]}^{made.chinese[1:]}"

    surname, given = own.name.pinyin.split(" ", 1)
    dataset.PatientName = f"{surname}^{given}={own.name.chinese[:1]}^{own.name.chinese[1:]}"
    dataset.PatientID = own.patient_number
    dataset.PatientTelephoneNumbers = own.phone
    dataset.PatientAddress = own.address
    add("pinyin", own.name.pinyin, True)
    dataset.ResponsiblePerson = name("relative_name")
    for keyword in (
        "ReferringPhysicianName",
        "OperatorsName",
        "PerformingPhysicianName",
        "RequestingPhysician",
    ):
        setattr(dataset, keyword, name("staff_name"))
    for keyword in ("InstitutionName", "InstitutionalDepartmentName"):
        value = maker.institution()
        add("institution", value, keyword == "InstitutionName")
        setattr(dataset, keyword, value)
    for keyword in ("StudyID", "AdmissionID", "DeviceSerialNumber", "OtherPatientIDs"):
        value = maker.like("00000000")
        add("patient_number", value, True)
        setattr(dataset, keyword, value)


def _uids(dataset: FileDataset, uids: dict[str, str], maker: Maker, add: Add) -> None:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        real = str(dataset.get(keyword) or "")
        if not real:
            continue
        if real not in uids:
            uids[real] = maker.uid()
            add("uid", uids[real], False)
        setattr(dataset, keyword, uids[real])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or maker.uid()
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    item.ReferencedSOPInstanceUID = maker.uid()
    add("uid", str(item.ReferencedSOPInstanceUID), False)
    dataset.ReferencedStudySequence = Sequence([item])


def _corners(dataset: FileDataset, word: Callable[[], str], maker: Maker, add: Add) -> None:
    """Sequences in sequences, private tags, an overlay's label, the preamble and the file meta."""
    phone, number = maker.phone(), maker.id_number()
    add("phone", phone, False)
    add("id_number", number, False)
    inner = Dataset()
    inner.TextValue = f"身份证{number} 电话{phone} {word()}"
    for keyword in ("ContentSequence", "ContentSequence", "RequestAttributesSequence"):
        outer = Dataset()
        outer.RequestedProcedureID = word()[:16]
        setattr(outer, keyword, Sequence([inner]))
        inner = outer
    dataset.RequestAttributesSequence = Sequence([inner])
    block = dataset.private_block(0x0009, "P2MED CERTIFY", create=True)
    block.add_new(0x01, "LO", word())
    block.add_new(0x02, "UN", word().encode())
    block.add_new(0x03, "SQ", Sequence([_with(word())]))
    dataset.add_new(0x60000022, "LO", word())
    dataset.preamble = word().encode().ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = word()[:16]


def _with(text: str) -> Dataset:
    item = Dataset()
    item.ImageComments = text
    return item


def encoded(dataset: FileDataset) -> bytes:
    """The file's bytes, in the transfer syntax of its pixels."""
    out = BytesIO()
    dcmwrite(out, dataset, enforce_file_format=False)
    return out.getvalue()
