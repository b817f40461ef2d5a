"""What became of each chosen series: its volume, or why there is none, and its fingerprint.

Pixels are prepared before the splits are decided, because an image can tie two patients together. So that a
killed run need not prepare them again, each shard's outcome is a file: 3_curate/pictures-*.parquet.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

from p2med.arrow import from_table
from p2med.curate.config import CurateConfig
from p2med.curate.images import Job, Prepared, chosen_series, file_name, prepare_all
from p2med.schema.base import Frozen
from p2med.schema.case import Case, Series, Volume
from p2med.store import FolderWriter, Rejected

STEM = "pictures"


class Picture(Frozen):
    """One chosen series of one case; `fingerprint` as `Trace.prints`, "" for an image without structure."""

    case_id: str
    study_uid: str
    series_uid: str
    volume: Volume | None = None
    reason: str = ""
    detail: str = ""
    fingerprint: str = ""


def write_pictures(
    writer: FolderWriter,
    paths: Sequence[Path],
    items: Iterable[Path],
    config: CurateConfig,
    root: Path,
    pool: ProcessPoolExecutor | None,
) -> None:
    """Prepare the pixels of every shard that is not done; shards are numbered after those of the cases.

    Args:
      items: `paths`, as they are to be walked (with progress).
    """
    for number, path in enumerate(items, len(paths)):
        if not writer.has(number):
            cases = cases_of(path) if _has_studies(path) else []
            jobs = [(c, study, job) for c in cases for study, job in chosen(c, config, root)[0]]
            results = prepare_all([j for *_, j in jobs], pool)
            found = [
                Picture(
                    case_id=case.case_id,
                    study_uid=study_uid,
                    series_uid=job.series.series_uid,
                    **prepared.model_dump(),
                )
                for (case, study_uid, job), prepared in zip(jobs, results, strict=True)
            ]
            writer.write(number, found, Picture, stem=STEM)


def cases_of(path: Path) -> list[Case]:
    return list(from_table(pq.read_table(path), Case))


def _has_studies(path: Path) -> bool:
    return any(pq.read_table(path, columns=["studies"])["studies"].to_pylist())


def chosen(case: Case, config: CurateConfig, root: Path) -> tuple[list[tuple[str, Job]], list[Rejected]]:
    """(study_uid, job) for each series that the model sees, in that order; the series that are left out."""
    jobs: list[tuple[str, Job]] = []
    rejected: list[Rejected] = []
    for study in case.studies:
        wanted, left = chosen_series(study, config.ct)
        rejected += left
        for series in wanted:
            job = Job(
                series=series,
                modality=study.modality.value,
                name=file_name(case, study, series),
                root=root,
                spec=config.image,
                sheet=config.contact_sheets,
            )
            jobs.append((study.study_uid, job))
    return jobs, rejected


class Pictures:
    """The prepared images of one shard, by case and series."""

    def __init__(self, folder: Path, number: int):
        self._of: dict[tuple[str, str, str], Picture] = {}
        for picture in from_table(pq.read_table(folder / f"{STEM}-{number:05d}.parquet"), Picture):
            self._of[picture.case_id, picture.study_uid, picture.series_uid] = picture

    def prepared(
        self, case: Case, config: CurateConfig, root: Path
    ) -> tuple[dict[str, list[tuple[Series, Prepared]]], list[Rejected]]:
        """study_uid -> the chosen series with what became of their pixels; the series that are left out."""
        images: dict[str, list[tuple[Series, Prepared]]] = {s.study_uid: [] for s in case.studies}
        jobs, rejected = chosen(case, config, root)
        for study_uid, job in jobs:
            p = self._of[case.case_id, study_uid, job.series.series_uid]
            images[study_uid].append(
                (job.series, Prepared(volume=p.volume, reason=p.reason, detail=p.detail))
            )
        return images, rejected


def fingerprints(path: Path) -> dict[tuple[str, str], str]:
    """Of one shard: (case_id, study_uid) -> fingerprint of the study's first image, as the model sees it."""
    found: dict[tuple[str, str], str] = {}
    columns = ["case_id", "study_uid", "fingerprint"]
    table = pq.read_table(path, columns=columns)
    for case_id, study_uid, mark in zip(*(table[c].to_pylist() for c in columns), strict=True):
        if mark:
            found.setdefault((case_id, study_uid), mark)
    return found
