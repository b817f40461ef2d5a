"""One file of `p2med deid folder`, read and cleaned inside a child of the guard."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from p2med.deid.dicom_out import clean_stranger, series_uid_of
from p2med.deid.dicom_pixels import BurnedIn
from p2med.deid.pseudonym import DEFAULT_SITE, Pseudonyms
from p2med.errors import DataError, PhiError, QuarantineError
from p2med.imaging.source import read_bytes

# A person must look: the file may be a good one, or it may hold identity where no rule can take it out.
LOOK_AT = (
    *("burned_in_text", "burned_in_annotation", "burned_in_text_in_series", "known_value_left"),
    *("no_patient_id", "charset_undecidable", "no_charset_fits", "characters_lost", "instance_uid_conflict"),
)
Verdict = Literal["accepted", "rejected", "quarantined"]
VERDICTS: tuple[Verdict, ...] = ("accepted", "rejected", "quarantined")


@dataclass(frozen=True)
class Settings:
    """What decides on the bytes besides the key."""

    burned_in: BurnedIn = "mask"
    max_date_shift_days: int = 365
    ocr: bool = False
    site: str = DEFAULT_SITE


@dataclass
class Row:
    """One input file; `file` and `digest` are HMACs of its path and of its bytes."""

    file: str
    verdict: Verdict
    reason: str | None = None
    output: str | None = None
    sha256: str | None = None
    blots: int = 0
    digest: str = ""
    series_uid: str | None = None
    modality: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a child sends back: a clean file (uint8[N]), or why there is none."""

    row: Row
    content: np.ndarray | None = None


def clean_one(source: Path, key: bytes, settings: Settings, path: str) -> Answer:
    names = Pseudonyms(key)
    row = Row(file=file_key(names, path), verdict="rejected")
    if not stat.S_ISREG(os.lstat(source / path).st_mode):
        row.reason = "not_a_regular_file"
        return Answer(row)
    try:
        blob = read_bytes(source / path)
    except DataError as error:
        row.reason = error.reason
        return Answer(row)
    row.digest = keyed_digest(names, blob)
    try:
        clean = clean_stranger(
            blob, names, settings.max_date_shift_days, settings.burned_in, settings.ocr, settings.site
        )
    except QuarantineError:
        raise
    except DataError as error:
        row.reason = error.reason
        row.verdict = "quarantined" if error.reason in LOOK_AT else "rejected"
        if isinstance(error, PhiError) and error.reason.startswith("burned_in"):
            row.series_uid, row.modality = series_uid_of(blob, names)
        return Answer(row)
    row.verdict, row.blots = "accepted", clean.blots
    row.series_uid, row.modality = clean.series_uid, clean.modality
    name = names.name("instance", clean.instance_uid)
    row.output = f"{clean.patient_key}/{clean.series_uid}/{name}.dcm"
    row.sha256 = hashlib.sha256(clean.content).hexdigest()
    return Answer(row, np.frombuffer(clean.content, np.uint8))


def file_key(names: Pseudonyms, path: str) -> str:
    # Not names.name: it folds case and width, and two paths that differ in these are two files.
    return "f" + names.digest("file", os.fsencode(path).hex())[:10].hex()


def keyed_digest(names: Pseudonyms, blob: bytes) -> str:
    """Keyed: a plain hash of the original would prove to anyone who has it whose file this is."""
    return names.digest("bytes", hashlib.sha256(blob).hexdigest()).hex()
