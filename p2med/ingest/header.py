"""A DICOM file's identified header: to which patient, study and series it belongs, and whose names it holds.

PatientName  Zhang^San=张^三  ->  names ("Zhang San", "ZhangSan", "张三")
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from p2med.errors import DataError
from p2med.imaging.charset import Finding, repair
from p2med.imaging.header import Header, Source, integer, multiple, parse, technical
from p2med.imaging.identity import CHINESE, DOTS, canonical_id, canonical_name
from p2med.ingest.dates import read_age, read_date
from p2med.schema.case import Sex

IDS = {
    "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "MedicalRecordLocator",
    "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID", "DeviceSerialNumber",
    "InsurancePlanIdentification", "FillerOrderNumberImagingServiceRequest", "StationName",
    "PlacerOrderNumberImagingServiceRequest", "IssuerOfPatientID", "ServiceEpisodeID",
}  # fmt: skip
PHONES = {"PatientTelephoneNumbers", "ReferringPhysicianTelephoneNumbers", "PersonTelephoneNumbers"}
ADDRESSES = {
    "PatientAddress", "InstitutionName", "InstitutionAddress", "ReferringPhysicianAddress",
    "PersonAddress", "RegionOfResidence",
}  # fmt: skip
SHORTEST_ID = 4
DATES = ("StudyDate", "AcquisitionDate", "ContentDate")
SEXES: dict[str, Sex] = {"M": "M", "F": "F", "O": "O", "男": "M", "女": "F"}


@dataclass(frozen=True)
class Instance:
    """One DICOM file, read without its pixels."""

    file: str
    """Pointer as an item keeps it."""
    study_uid: str
    series_uid: str
    instance_uid: str
    header: Header
    instance_number: int
    patient_id: str
    accession_number: str | None
    study_date: date | None
    sex: Sex | None
    birth_date: date | None
    age_days: int | None
    names: tuple[str, ...]
    ids: tuple[str, ...]
    phones: tuple[str, ...]
    addresses: tuple[str, ...]
    repairs: tuple[Finding, ...] = ()
    """What was not read in the character set that the file declares."""


def read_instance(source: Source, file: str, uids_by_folder: bool = False) -> Instance:
    """Read one file's header.

    Args:
      file: the pointer that an item keeps.
      uids_by_folder: a missing study or series UID is made from the file's folder, a missing instance UID
        from the file, instead of refusing the file.

    Raises:
      DataError: reasons of imaging/header.py, and `uid_missing`, `localizer`; when an identifying value has
        bytes that no character set explains: `charset_undecidable`, `no_charset_fits`, `characters_lost`.
    """
    dataset = parse(source, pixels=False)
    try:
        repairs = repair(dataset)
    except (Exception, RecursionError) as error:  # nested sequences are parsed here, and may hold anything
        raise DataError("dicom_unreadable", f"a text element: {type(error).__name__}") from None
    header = technical(dataset)
    if header.is_localizer:
        raise DataError("localizer", "a scout view, not a slice")
    for r in repairs:
        if not r.read_as and (_kind(r.keyword) or _is_name(r.keyword)):
            # What is not known cannot be searched for in texts and pixels by deid.
            raise DataError(r.why, f"{r.keyword}, declared as {r.declared or 'nothing'}")
    try:
        instance = _instance(dataset, header, file, _uids(dataset, file, uids_by_folder))
        return replace(instance, repairs=tuple(repairs)) if repairs else instance
    except DataError:
        raise
    except (Exception, RecursionError) as error:  # a malformed value may raise anything when it is converted
        raise DataError("dicom_unreadable", f"an identifying element: {type(error).__name__}") from None


def _uids(dataset: Dataset, file: str, by_folder: bool) -> list[str]:
    uids = [str(dataset.get(k) or "") for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    if not all(uids) and not by_folder:
        raise DataError("uid_missing", "a study, series or instance UID is missing")
    folder = file.rpartition("/")[0]
    made = (_uid_of(f"study {folder}"), _uid_of(f"series {folder}"), _uid_of(f"instance {file}"))
    return [u or m for u, m in zip(uids, made, strict=True)]


def _uid_of(text: str) -> str:
    """A UID below 2.25 (DICOM PS3.5 B.2) that depends on nothing but the text."""
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])}"


def _instance(dataset: Dataset, header: Header, file: str, uids: list[str]) -> Instance:
    found: dict[str, dict[str, None]] = {"names": {}, "ids": {}, "phones": {}, "addresses": {}}
    for kind, value in _identities(dataset):
        found[kind].setdefault(value)
    return Instance(
        file=file,
        study_uid=uids[0],
        series_uid=uids[1],
        instance_uid=uids[2],
        header=header,
        instance_number=integer(dataset.get("InstanceNumber")) or 0,
        patient_id=canonical_id(_first(dataset, "PatientID")),
        accession_number=canonical_id(_first(dataset, "AccessionNumber")) or None,
        study_date=next((d for k in DATES if (d := _date(dataset, k))), None),
        sex=SEXES.get(str(dataset.get("PatientSex") or "").strip().upper()),
        birth_date=_date(dataset, "PatientBirthDate"),
        age_days=read_age(str(dataset.get("PatientAge") or "")),
        names=tuple(found["names"]),
        ids=tuple(found["ids"]),
        phones=tuple(found["phones"]),
        addresses=tuple(found["addresses"]),
    )


def _first(dataset: Dataset, keyword: str) -> str:
    return next((clean(str(v)) for v in multiple(dataset.get(keyword))), "")


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return read_date(_first(dataset, keyword))
    except DataError:
        return None


def _identities(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Every identifying value at any depth, with the kind of value it is."""
    for element in dataset.iterall():
        if element.VR == "PN":
            for name in multiple(element.value):
                yield from (("names", n) for n in names_of(name))
            continue
        kind = _kind(element.keyword)
        if kind is None:
            continue
        for value in multiple(element.value):
            text = clean(str(value))
            if text and (kind != "ids" or len(text) >= SHORTEST_ID):
                yield kind, text


def _kind(keyword: str) -> str | None:
    if keyword in IDS:
        return "ids"
    if keyword in PHONES:
        return "phones"
    return "addresses" if keyword in ADDRESSES else None


def _is_name(keyword: str) -> bool:
    tag = tag_for_keyword(keyword)
    return tag is not None and dictionary_VR(tag) == "PN"


def clean(text: str) -> str:
    """Drop control characters and outer blanks."""
    return "".join(c for c in text if c.isprintable()).strip()


def names_of(name: PersonName | str | Any) -> Iterator[str]:
    """A person's name in every group of a DICOM name, joined as people write it."""
    for group in str(name).split("="):
        parts = [p for part in group.split("^") if (p := clean(part))]
        if not parts:
            continue
        if not CHINESE.search(group) and len(parts) > 1:
            yield " ".join(parts)
        yield "".join(parts)
        if DOTS.search(group) and CHINESE.search(group):
            yield canonical_name(group)
