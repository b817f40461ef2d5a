"""A DICOM file without identity: a new file in which only understood values of the old one stand.

in:  PatientName 宋诗梓, private tags, overlays, JPEG with comments, preamble of the PACS
out: p5d1…/2.25.7…/i3f0c….dcm, Explicit VR Little Endian, ASCII, PatientID p5d1…, dates shifted

Basic Profile of PS3.15 with the options Clean Pixel Data, Retain Patient Characteristics (sex, age) and
Retain Longitudinal Temporal Information with Modified Dates; docs/deid.md has what each element becomes.
"""

import hashlib
from dataclasses import dataclass
from io import BytesIO

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from p2med.deid.dicom_allowed import CT, GENERAL, RADIOGRAPH, Allowed
from p2med.deid.dicom_enhanced import ENHANCED
from p2med.deid.dicom_header import coded, copy, first_text, put, value_of, values_of
from p2med.deid.dicom_pixels import BurnedIn, write_pixels
from p2med.deid.dicom_values import Secrets, read_age_days, read_day
from p2med.deid.pseudonym import DEFAULT_SITE, Pseudonyms
from p2med.errors import DataError, PhiError
from p2med.imaging.charset import repair
from p2med.imaging.decode import hounsfield_scale
from p2med.imaging.header import (
    ENHANCED_CT,
    MODALITY_OF_CLASS,
    Header,
    multiple,
    parse,
    technical,
)
from p2med.imaging.identity import canonical_id

IMPLEMENTATION = "2.25.325829480267014563817226419028846157201"
LONGEST_AGE_YEARS = 89
SHORTEST_OWN_VALUE = 5
_OWN = (
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "PatientTelephoneNumbers"),
    *("MedicalRecordLocator", "RequestedProcedureID", "PatientBirthDate", "PatientName"),
)
_METHODS = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}


@dataclass(frozen=True)
class Person:
    """What the patient is called from now on; nothing in it is identity."""

    patient_key: str
    offset_days: int
    sex: str | None = None
    age_days: int | None = None


@dataclass(frozen=True)
class DicomFile:
    """A clean file and its new names; `blots` is how many boxes of text were taken out of its pixels."""

    patient_key: str
    series_uid: str
    instance_uid: str
    modality: str
    content: bytes
    blots: int = 0


def clean_dicom(
    blob: bytes, names: Pseudonyms, person: Person, burned_in: BurnedIn = "mask", ocr: bool = False
) -> DicomFile:
    """Make the clean file of one instance of a known person.

    Args:
      blob: the whole original file.
      burned_in: `mask` blots text outside the lungs and refuses any other; `reject` refuses all; `keep`
        does not look, and claims no Clean Pixel Data option.
      ocr: look with RapidOCR's detector as well.

    Raises:
      DataError: the reasons of imaging. PhiError: `sop_class_not_accepted`, `modality_lut_not_supported`,
        `photometric_not_supported`, `known_value_left`, and the `burned_in_` reasons.
    """
    source, header, _ = _understood(blob, burned_in)
    return _clean(source, header, blob, names, person, burned_in, ocr)


def clean_stranger(
    blob: bytes,
    names: Pseudonyms,
    max_date_shift_days: int,
    burned_in: BurnedIn = "mask",
    ocr: bool = False,
    site: str = DEFAULT_SITE,
) -> DicomFile:
    """The same for a file that comes without a record: its person is whom its own header names.

    Raises:
      As clean_dicom; PhiError: `no_patient_id`; when it is not known what the number says
        `charset_undecidable`, `no_charset_fits`, `characters_lost`.
    """
    source, header, unread = _understood(blob, burned_in)
    if "PatientID" in unread:
        # Read in the wrong character set the number would give the child a second pseudonym.
        raise PhiError(unread["PatientID"], "PatientID")
    person = _person_of(source, names, max_date_shift_days, site)
    return _clean(source, header, blob, names, person, burned_in, ocr)


def series_uid_of(blob: bytes, names: Pseudonyms) -> tuple[str | None, str | None]:
    """The clean series UID, and the modality, of a file that was refused."""
    source = parse(blob, pixels=False)
    old = first_text(source, "SeriesInstanceUID")
    return (names.uid(old) if old else None), first_text(source, "Modality").upper() or None


def _understood(blob: bytes, burned_in: BurnedIn) -> tuple[Dataset, Header, dict[str, str]]:
    """The file with its texts as ingest reads them, and why some could not be read, by keyword."""
    source = parse(blob)
    try:
        unread = {f.keyword: f.why for f in repair(source) if not f.read_as}
    except (Exception, RecursionError) as error:  # nested sequences are parsed here, and may hold anything
        raise DataError("dicom_unreadable", f"a text element: {type(error).__name__}") from None
    header = technical(source)
    screen = header.is_secondary_capture
    if burned_in != "keep" and screen:
        raise PhiError("burned_in_secondary_capture", "a screen picture may hold text")
    if header.sop_class_uid not in MODALITY_OF_CLASS and not screen:
        raise PhiError("sop_class_not_accepted", "only CR, DX, CT and Enhanced CT images are written")
    if burned_in != "keep" and header.burned_in:
        raise PhiError("burned_in_annotation", "the header says that the pixels hold text")
    if str(value_of(source, "PixelPresentation") or "MONOCHROME").strip() != "MONOCHROME":
        raise PhiError("photometric_not_supported", "a CT in colour")
    if header.modality == "CT" and header.rescale:
        hounsfield_scale(header)  # a type that is not copied must not turn a map into densities
    if "ModalityLUTSequence" in source:
        raise PhiError("modality_lut_not_supported", "its grey values have no meaning without the table")
    return source, header, unread


def _clean(
    source: Dataset,
    header: Header,
    blob: bytes,
    names: Pseudonyms,
    person: Person,
    burned_in: BurnedIn,
    ocr: bool,
) -> DicomFile:
    secrets = Secrets(names, person.offset_days)
    clean = Dataset()
    copy(source, clean, _allowed(header), secrets)
    _name(source, clean, header, blob, secrets)
    _describe_patient(clean, person)
    if header.modality == "CT" and header.contrast:
        clean.ContrastBolusAgent = "CONTRAST"  # it may have been said by the description alone
    _mark(clean, burned_in != "keep", bool(clean.get("StudyDate")))
    _refuse_own_values(source, clean)
    blots = write_pixels(source, clean, header, blob, burned_in, ocr)
    return DicomFile(
        patient_key=person.patient_key,
        series_uid=str(clean.SeriesInstanceUID),
        instance_uid=str(clean.SOPInstanceUID),
        modality=header.modality,
        content=_encoded(clean),
        blots=blots,
    )


def _person_of(source: Dataset, names: Pseudonyms, max_date_shift_days: int, site: str) -> Person:
    """Whom the header names; the same pseudonym and shift as the verb gives this number of this site."""
    number = canonical_id(first_text(source, "PatientID"))
    if not number:
        raise PhiError("no_patient_id", "without a PatientID no pseudonym can be given")
    born = read_day(first_text(source, "PatientBirthDate"))
    day = next((d for k in _DATES if (d := read_day(first_text(source, k)))), None)
    sex = first_text(source, "PatientSex").upper()
    age = (
        (day - born).days if born and day and day >= born else read_age_days(first_text(source, "PatientAge"))
    )
    return Person(
        patient_key=names.patient(site, number),
        offset_days=names.offset_days(site, number, max_date_shift_days),
        sex=sex if sex in ("M", "F", "O") else None,
        age_days=age,
    )


_CR = "1.2.840.10008.5.1.4.1.1.1"
_WITH_LATERALITY = (_CR, "1.2.840.10008.5.1.4.1.1.2")  # and CT
_DATES = ("StudyDate", "AcquisitionDate", "ContentDate", "SeriesDate")


def _allowed(header: Header) -> Allowed:
    if header.sop_class_uid == ENHANCED_CT:
        return GENERAL | CT | ENHANCED
    return GENERAL | (CT if header.modality == "CT" else RADIOGRAPH)


def _refuse_own_values(source: Dataset, clean: Dataset) -> None:
    """The last look at the header: no kept value may be one of the patient's own numbers or names."""
    own = {canonical_id(str(v)) for k in _OWN for v in multiple(value_of(source, k))}
    own = {v for v in own if len(v) >= SHORTEST_OWN_VALUE}
    if any(canonical_id(str(v)) in own for v in values_of(clean)):
        raise PhiError("known_value_left", "a number of the patient stands in a technical element")


# ---------------------------------------------------------------- who, what, how


def _name(source: Dataset, clean: Dataset, header: Header, blob: bytes, secrets: Secrets) -> None:
    """Every UID is the HMAC of the old one; a missing one is made from the file's own bytes."""
    clean.SOPClassUID = header.sop_class_uid
    clean.Modality = header.modality
    made_up = hashlib.sha256(blob).hexdigest()
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        old = str(source.get(keyword) or "").strip(" \0") or made_up
        setattr(clean, keyword, secrets.names.uid(old))
    if "FrameOfReferenceUID" in source and not clean.get("FrameOfReferenceUID"):
        clean.FrameOfReferenceUID = secrets.names.uid(f"frame of {clean.SeriesInstanceUID}")
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"):
        if keyword not in clean:
            put(clean, keyword, [])
    if header.sop_class_uid == _CR and "ViewPosition" not in clean:
        put(clean, "ViewPosition", [])
    if header.is_secondary_capture and "ConversionType" not in clean:
        clean.ConversionType = "WSD"
    if header.sop_class_uid in _WITH_LATERALITY and "BodyPartExamined" not in clean:
        put(clean, "Laterality", [])


def _describe_patient(clean: Dataset, person: Person) -> None:
    clean.SpecificCharacterSet = "ISO_IR 192"
    clean.PatientName = clean.PatientID = person.patient_key
    clean.PatientBirthDate = ""
    clean.PatientSex = person.sex or ""
    if person.age_days is not None:
        clean.PatientAge = age_string(person.age_days)


def age_string(days: int) -> str:
    """Days below 28, months below 2 years, then years, none above 89 (SAFETY 1.7; DICOM AS)."""
    if days < 28:
        return f"{days:03d}D"
    if days < 731:
        return f"{int(days / 30.4375):03d}M"
    return f"{min(LONGEST_AGE_YEARS, int(days / 365.25)):03d}Y"


def _mark(clean: Dataset, searched: bool, dated: bool) -> None:
    """The attributes that PS3.15 E.1.1 wants of a de-identified file."""
    methods = [m for m in _METHODS if searched or m != "113101"]
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = "P2Med allow-list, PS3.15 E.1 Basic Profile"
    clean.DeidentificationMethodCodeSequence = [coded(m, "DCM", _METHODS[m]) for m in methods]
    clean.LongitudinalTemporalInformationModified = "MODIFIED" if dated else "REMOVED"
    if searched:
        clean.BurnedInAnnotation = "NO"


def _encoded(clean: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "P2MED"
    sink = BytesIO()
    FileDataset(sink, clean, file_meta=meta, preamble=b"\0" * 128).save_as(sink, enforce_file_format=True)
    return sink.getvalue()
