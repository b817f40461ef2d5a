"""Pixels as the network takes them: choose series, window, resize, write; one job is one series."""

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from p2med.curate.config import CtConfig
from p2med.curate.leaks_images import written
from p2med.errors import DataError
from p2med.imaging.contact_sheet import contact_sheet
from p2med.imaging.select import choose
from p2med.imaging.spec import ImageSpec
from p2med.imaging.transform import prepare
from p2med.schema.base import Frozen
from p2med.schema.case import Case, Series, Study, Volume
from p2med.store import Rejected, read_volume, write_bytes, write_volume


class Job(Frozen):
    """Prepare one series. `name` is its file name, without an ending."""

    series: Series
    modality: str
    name: str
    root: Path
    spec: ImageSpec
    sheet: bool


class Prepared(Frozen):
    """A volume, or the reason why there is none."""

    volume: Volume | None = None
    reason: str = ""
    detail: str = ""
    fingerprint: str = ""


def chosen_series(study: Study, ct: CtConfig) -> tuple[list[Series], list[Rejected]]:
    """The series that the model sees, each with `chosen_because`; the others with the rule against them."""
    repeated = [s for n, s in enumerate(study.series) if s.series_uid in _uids(study.series[:n])]
    once = study.model_copy(update={"series": tuple(s for s in study.series if s not in repeated)})
    by_uid = {s.series_uid: s for s in once.series}
    choices = choose(once, ct.slice_thickness_mm, ct.require_slice_thickness, ct.min_slices)
    chosen = [
        by_uid[c.series_uid].model_copy(update={"chosen_because": c.reason}) for c in choices if c.chosen
    ]
    left = [Rejected(noun="series", id=c.series_uid, reason=c.reason) for c in choices if not c.chosen]
    left += [Rejected(noun="series", id=s.series_uid, reason="repeated_series") for s in repeated]
    return chosen, left


def _uids(series: Sequence[Series]) -> set[str]:
    return {s.series_uid for s in series}


def file_name(case: Case, study: Study, series: Series) -> str:
    """Readable and never shared by two series, whatever a source takes for a UID."""
    whole = "\0".join((case.case_id, study.study_uid, series.series_uid))
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", series.series_uid).strip(".")[:64]
    return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def prepare_series(job: Job) -> Prepared:
    """Read one volume, bring it to [0, 1] at the recipe's size, write it; reject what cannot be."""
    source = job.series.volume
    try:
        array = read_volume(source.path, job.root)
        if array.size and array.min() == array.max():
            return Prepared(reason="blank_image", detail="all pixels are equal")
        shown = prepare(array, source.unit, job.spec)
    except DataError as error:
        return Prepared(reason=error.reason)
    except ValueError as error:
        return Prepared(reason="unusable_volume", detail=str(error))
    path = f"3_curate/volumes/{job.name}.npy"
    write_volume(job.root / path, shown)
    if job.sheet:
        caption = describe(job, array, shown)
        write_bytes(job.root / f"3_curate/sheets/{job.name}.png", contact_sheet(shown, caption))
    return Prepared(
        volume=Volume(
            path=f"run:{path}",
            shape=shown.shape,
            dtype=str(shown.dtype),
            unit="unit_interval",
            spacing_mm=new_spacing(source.spacing_mm, array.shape, shown.shape),
        ),
        fingerprint=written(shown),
    )


def new_spacing(
    spacing_mm: tuple[float, float, float] | None, before: Sequence[int], after: Sequence[int]
) -> tuple[float, float, float] | None:
    """Distances between pixel centres (z, y, x; mm) after slices were chosen and resized."""
    if spacing_mm is None:
        return None
    z, y, x = (mm * b / a for mm, b, a in zip(spacing_mm, before, after, strict=True))
    return z, y, x


def describe(job: Job, array: np.ndarray, shown: np.ndarray) -> str:
    """The contact sheet's caption: technical facts only."""
    series, spec = job.series, job.spec
    spacing = series.volume.spacing_mm
    mm = " x ".join(f"{v:g}" for v in spacing) + " mm (z, y, x)" if spacing else "spacing unknown"
    shapes = f"{list(array.shape)} -> {list(shown.shape)}"
    if series.volume.unit == "HU":
        low, high = (
            spec.window_level_hu - spec.window_width_hu / 2,
            spec.window_level_hu + spec.window_width_hu / 2,
        )
        value = f"HU {array.min():g} .. {array.max():g}, shown {low:g} .. {high:g}"
    else:
        value = f"{series.volume.unit} {array.min():g} .. {array.max():g}"
    order = "one image" if len(array) == 1 else "slices in the order of the volume: by position, as read"
    thickness = f"{series.slice_thickness_mm:g} mm" if series.slice_thickness_mm else "unknown"
    return (
        f"{job.modality} {job.name}\n{shapes}, {mm}, slice thickness {thickness}\n{value}\n"
        f"{order}\nchosen because: {series.chosen_because}"
    )


def prepare_all(jobs: Sequence[Job], pool: ProcessPoolExecutor | None) -> list[Prepared]:
    """In the order of the jobs, whoever finishes first."""
    if pool is None or len(jobs) < 2:
        return [prepare_series(j) for j in jobs]
    return list(pool.map(prepare_series, jobs, chunksize=max(1, min(8, len(jobs) // 8))))
