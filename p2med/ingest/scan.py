"""A tree or archive of DICOM files -> instances and refusals, in the order of their names."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from p2med.errors import DataError, RecipeError
from p2med.imaging.source import open_archive
from p2med.ingest.header import Instance, read_instance
from p2med.progress import track
from p2med.schema.identified import IdentifiedSeries, IdentifiedStudy
from p2med.schema.terms import Modality
from p2med.store import Rejected, resolve

PARALLEL_FROM = 2000
Found = Instance | Rejected


def scan(where: str, root: Path, label: str = "DICOM headers", uids_by_folder: bool = False) -> list[Found]:
    """Read the header of every file.

    Args:
      where: a folder or a .zip archive, as the recipe writes it (`run:`, `data:` or plain).
      uids_by_folder: see header.read_instance.

    Returns:
      One entry a file; refusals have the noun `dicom_file` and the file's path inside `where` as id. A second
      file of the same instance is refused as `duplicate_instance`.

    Raises:
      RecipeError: there is no such folder or archive.
      DataError: `archive_unreadable`.
    """
    real = resolve(where, root)
    names = _file_names(real, where)
    inside = "!" if real.is_file() else "/"
    jobs = [(f"{real}{inside}{n}", f"{where.rstrip('/')}{inside}{n}", n) for n in names]
    found = list(track(_map(partial(_read, uids_by_folder), jobs), label, total=len(jobs)))
    seen: set[str] = set()
    for n, item in enumerate(found):
        if isinstance(item, Instance):
            if item.instance_uid in seen:
                found[n] = Rejected(noun="dicom_file", id=names[n], reason="duplicate_instance")
            seen.add(item.instance_uid)
    return found


def _file_names(real: Path, where: str) -> list[str]:
    if real.is_dir():
        names = [
            os.path.relpath(os.path.join(folder, f), real)
            for folder, _, files in os.walk(real)
            for f in files
        ]
    elif real.is_file() and real.suffix.lower() == ".zip":
        names = [i.filename for i in open_archive(str(real)).infolist() if not i.is_dir()]
    else:
        raise RecipeError(f"there is no DICOM folder or .zip archive {real} (in the recipe: {where})")
    return sorted(n.replace(os.sep, "/") for n in names)


def _read(uids_by_folder: bool, job: tuple[str, str, str]) -> Found:
    real, file, name = job
    try:
        return read_instance(real, file, uids_by_folder)
    except DataError as error:
        return Rejected(
            noun="dicom_file", id=name, reason=error.reason, detail=error.detail.replace(real, name)
        )


def _map(function: Callable[..., Found], jobs: Sequence[tuple[str, str, str]]) -> Iterator[Found]:
    workers = min(8, os.cpu_count() or 1)
    if len(jobs) < PARALLEL_FROM or workers == 1:
        yield from map(function, jobs)
        return
    with ProcessPoolExecutor(workers, initializer=_die_with_parent, initargs=(os.getpid(),)) as pool:
        yield from pool.map(function, jobs, chunksize=64)


def _die_with_parent(parent: int) -> None:
    """Without this, workers wait for ever when the verb is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
