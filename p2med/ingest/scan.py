"""A tree or archive of DICOM files -> instances and refusals, in the order of their names."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from p2med.errors import DataError
from p2med.guard import Guard
from p2med.ingest.files import list_files
from p2med.ingest.header import Instance, read_instance
from p2med.progress import track
from p2med.schema.identified import IdentifiedSeries, IdentifiedStudy
from p2med.schema.terms import Modality
from p2med.store import Rejected, resolve

FILES_A_PROCESS = 200
"""Below so many, starting another process costs more than it saves."""
MOST_PROCESSES = 8
Found = Instance | Rejected
Job = tuple[str, str, str]
"""The real pointer, the pointer that an item keeps, the name inside the folder or archive."""


def scan(where: str, root: Path, label: str = "DICOM headers", uids_by_folder: bool = False) -> list[Found]:
    """Read the header of every file, each in a child process with limits.

    Args:
      where: a folder or a .zip archive, as the recipe writes it (`run:`, `data:` or plain).
      uids_by_folder: see header.read_instance.

    Returns:
      One entry a file; refusals have the noun `dicom_file` and the file's path inside `where` as id. A second
      file of the same instance is refused as `duplicate_instance`, a link as `link_not_followed`, a name that
      leaves the archive or is no UTF-8 as `unsafe_name`, a file that broke its reader by guard.py's reason.

    Raises:
      RecipeError: there is no such folder or archive.
      DataError: `archive_unreadable`.
    """
    real = resolve(where, root)
    inside = "!" if real.is_file() else "/"
    entries = list_files(real, where)
    jobs = [
        (f"{real}{inside}{e.name}", f"{where.rstrip('/')}{inside}{e.name}", e.name)
        for e in entries
        if not e.fault
    ]
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)), 1 + len(jobs) // FILES_A_PROCESS)
    with Guard(partial(_read, uids_by_folder), processes) as guard:
        read = iter(track(guard.map(jobs), label, total=len(jobs)))
        found = [_refused(e.shown, DataError(e.fault)) if e.fault else next(read) for e in entries]
    seen: set[str] = set()
    for n, (entry, item) in enumerate(zip(entries, found, strict=True)):
        if isinstance(item, DataError):
            found[n] = _refused(entry.shown, item)
        elif isinstance(item, Instance):
            if item.instance_uid in seen:
                found[n] = Rejected(noun="dicom_file", id=entry.name, reason="duplicate_instance")
            seen.add(item.instance_uid)
    return found


def _read(uids_by_folder: bool, job: Job) -> Instance:
    real, file, name = job
    try:
        return read_instance(real, file, uids_by_folder)
    except DataError as error:
        raise type(error)(error.reason, error.detail.replace(real, name)) from None


def _refused(name: str, error: DataError) -> Rejected:
    return Rejected(noun="dicom_file", id=name, reason=error.reason, detail=error.detail)


def studies_of(instances: Sequence[Instance]) -> dict[str, list[Instance]]:
    """Instances by study, studies and instances in a stable order."""
    studies: dict[str, list[Instance]] = {}
    for i in sorted(instances, key=lambda i: (i.study_uid, i.series_uid, i.instance_number, i.instance_uid)):
        studies.setdefault(i.study_uid, []).append(i)
    return studies


def study_of(instances: Sequence[Instance]) -> IdentifiedStudy:
    """One study of its instances (in the order of `studies_of`)."""
    groups: dict[str, list[Instance]] = {}
    for i in instances:
        groups.setdefault(i.series_uid, []).append(i)
    series = [s for uid, group in groups.items() for s in _series_of(uid, group)]
    modality = Modality.CT if any(s.modality is Modality.CT for s in series) else series[0].modality
    dates = [i.study_date for i in instances if i.study_date]
    return IdentifiedStudy(
        study_uid=instances[0].study_uid,
        accession_number=next((i.accession_number for i in instances if i.accession_number), None),
        study_date=min(dates) if dates else None,
        modality=modality,
        series=tuple(series),
    )


def _series_of(uid: str, group: list[Instance]) -> Iterator[IdentifiedSeries]:
    """A CT series as it is; of radiographs, each image is a series of its own, for each has its own view."""
    if group[0].header.modality == "CT" or len(group) == 1:
        images = [(uid, group)]
    else:
        images = [(f"{uid}.{n}", [i]) for n, i in enumerate(group, 1)]
    for name, members in images:
        yield IdentifiedSeries(
            series_uid=name,
            files=tuple(i.file for i in members),
            format="dicom",
            modality=Modality(members[0].header.modality),
            view_position=members[0].header.view_position,
            contrast=any(i.header.contrast for i in members) if members[0].header.modality == "CT" else None,
        )
