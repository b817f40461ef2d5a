"""A series' pixels without identity, read and cleaned in a child: the caller never looks into a file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from p2med.deid.dicom_out import Person, clean_dicom
from p2med.deid.dicom_pixels import BurnedIn, blot_text
from p2med.deid.pseudonym import Pseudonyms
from p2med.guard import Guard
from p2med.imaging.dicom import read_series
from p2med.imaging.picture import read_picture
from p2med.imaging.pixels import Pixels
from p2med.imaging.source import read_bytes


@dataclass(frozen=True)
class Job:
    """One series: its files in any order, `format` dicom or picture."""

    format: str
    files: tuple[str, ...]
    person: Person
    ct: bool = False


def read_clean(
    format: str, files: Sequence[str], person: Person, ct: bool, names: Pseudonyms, burned_in: BurnedIn
) -> Pixels:
    """Read one DICOM series, or one PNG or JPEG, of which nothing is left but what may pass.

    Args:
      files: paths, or pointers into archives. ct: the picture is a CT slice.

    Raises:
      DataError: as read_series, read_picture, clean_dicom. QuarantineError: the reader broke or met a limit.
    """
    return _guard(os.getpid(), names, burned_in).call(Job(format, tuple(files), person, ct))


@lru_cache(maxsize=1)
def _guard(process: int, names: Pseudonyms, burned_in: BurnedIn) -> Guard[Job, Pixels]:
    # A forked process must not share its parent's child, hence `process` in the key.
    return Guard(partial(_read, names, burned_in), weight=lambda job: len(job.files))


def _read(names: Pseudonyms, burned_in: BurnedIn, job: Job) -> Pixels:
    """From clean files, made in memory: the very bytes that `p2med deid folder` would write."""
    if job.format == "dicom":
        blobs = (read_bytes(f) for f in job.files)
        return read_series([clean_dicom(b, names, job.person, burned_in).content for b in blobs])
    pixels = read_picture(read_bytes(job.files[0]))
    blot_text(pixels.array, job.ct, None, burned_in)
    return pixels
