"""A series' pixels without identity, read and cleaned in a child: the caller never looks into a file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from p2med.deid.burned_in_ocr import TIMES_SLOWER
from p2med.deid.dicom_out import Person, clean_dicom
from p2med.deid.dicom_pixels import BurnedIn, blot_text
from p2med.deid.pseudonym import Pseudonyms
from p2med.errors import PhiError
from p2med.guard import Guard
from p2med.imaging.dicom import read_series
from p2med.imaging.header import parse
from p2med.imaging.lut import has_table
from p2med.imaging.picture import read_picture
from p2med.imaging.pixels import Pixels
from p2med.imaging.source import read_bytes, weight


@dataclass(frozen=True)
class Job:
    """One series: its files in any order, `format` dicom or picture."""

    format: str
    files: tuple[str, ...]
    person: Person
    ct: bool = False


def read_clean(
    format: str,
    files: Sequence[str],
    person: Person,
    ct: bool,
    names: Pseudonyms,
    burned_in: BurnedIn,
    ocr: bool = False,
) -> Pixels:
    """Read one DICOM series, or one PNG or JPEG, of which nothing is left but what may pass.

    Args:
      files: paths, or pointers into archives. ct: the picture is a CT slice.

    Raises:
      DataError: as read_series, read_picture, clean_dicom. QuarantineError: the reader broke or met a limit.
    """
    return _guard(os.getpid(), names, burned_in, ocr).call(Job(format, tuple(files), person, ct))


@lru_cache(maxsize=1)
def _guard(process: int, names: Pseudonyms, burned_in: BurnedIn, ocr: bool) -> Guard[Job, Pixels]:
    # A forked process must not share its parent's child, hence `process` in the key.
    times = TIMES_SLOWER if ocr else 1
    return Guard(partial(_read, names, burned_in, ocr), weight=lambda job: times * weight(job.files))


def _read(names: Pseudonyms, burned_in: BurnedIn, ocr: bool, job: Job) -> Pixels:
    """The pixels as the scanner meant them; clean_dicom says whether they may pass, and takes text out."""
    if job.format == "dicom":
        blotted = []
        for file in job.files:
            clean = clean_dicom(read_bytes(file), names, job.person, burned_in, ocr)
            blotted += [clean.content] if clean.blots else []
        if not blotted:
            return read_series(job.files)
        if len(job.files) > 1 or has_table(parse(job.files[0], pixels=False), "VOILUTSequence"):
            # The clean file has no such table, and without it the film may be another, even a negative.
            raise PhiError("burned_in_text", "text on a film that is shown through a table")
        return read_series(blotted)
    pixels = read_picture(read_bytes(job.files[0]))
    blot_text(pixels.array, job.ct, None, burned_in, ocr)
    return pixels
