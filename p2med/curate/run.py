"""Verb 3: Case -> Case that may teach, with volumes as the network takes them.

2_deid ─► survey (split, missing, too long, duplicates; all cases) ─► faults, splits
       └► each shard: choose series ─► prepare pixels ─► assemble ─► 3_curate/items-*.parquet, volumes/
"""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

from p2med.arrow import from_table
from p2med.curate.assemble import assemble, parts_of
from p2med.curate.config import CurateConfig
from p2med.curate.duplicates import side_by_side
from p2med.curate.images import Job, Prepared, chosen_series, file_name, prepare_all
from p2med.curate.records import token_counter, tokenizer_digest
from p2med.curate.survey import Survey, outcome
from p2med.pool import workers
from p2med.progress import say, track
from p2med.schema.case import Case, Series
from p2med.store import (
    FolderWriter,
    Manifest,
    Rejected,
    code_digest,
    require,
    resolve,
    shard_paths,
    verb_folder,
    write_text,
)

CODE = ("curate", "clinical", "imaging", "schema", "store.py", "files.py", "arrow.py")


def run(config: CurateConfig, root: Path) -> Manifest:
    """Curate `root/2_deid` into `root/3_curate`.

    Raises:
      P2MedError: deid has not finished, or the tokenizer cannot be read.
    """
    tokenizer = resolve(config.tokenizer, root) if config.tokenizer else None
    code = f"{code_digest(*CODE)}-{tokenizer_digest(tokenizer)}"
    paths = shard_paths(require(root, "deid"))
    writer = FolderWriter(verb_folder(root, "curate"), "curate", config, inputs=["deid"], code=code)
    if writer.manifest is not None:
        say("curate: up to date")
        return writer.manifest
    survey = Survey(paths, config, token_counter(tokenizer))
    with workers(config.workers) as pool:
        for number, path in enumerate(track(paths, "curate", len(paths))):
            if not writer.has(number):
                cases = list(from_table(pq.read_table(path), Case))
                _curate_shard(writer, number, cases, survey, config, root, pool)
    if config.dedup is not None:
        write_text(writer.folder / "duplicates.html", side_by_side(survey.pairs))
    return writer.finish({**survey.notes, **outcome(writer.folder)})


def _curate_shard(
    writer: FolderWriter,
    number: int,
    cases: list[Case],
    survey: Survey,
    config: CurateConfig,
    root: Path,
    pool: ProcessPoolExecutor | None,
) -> None:
    """One shard in, one shard out."""
    places, rejected, jobs = _choose(cases, config, root)
    images: list[dict[str, list[tuple[Series, Prepared]]]] = [
        {s.study_uid: [] for s in c.studies} for c in cases
    ]
    for (n, study_uid), job, result in zip(places, jobs, prepare_all(jobs, pool), strict=True):
        images[n][study_uid].append((job.series, result))
    kept: list[Case] = []
    for case, pixels in zip(cases, images, strict=True):
        split = survey.split_of[case.patient.patient_key]
        whole, losses = assemble(case, pixels, survey.faults, split, config)
        rejected += losses
        kept += [whole] if whole is not None else []
    entered: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for case in cases:
        entered += parts_of(case)
    for case in kept:
        passed += parts_of(case)
    writer.write(number, kept, Case, rejected, entered=entered, passed=passed)


def _choose(
    cases: list[Case], config: CurateConfig, root: Path
) -> tuple[list[tuple[int, str]], list[Rejected], list[Job]]:
    """The jobs of a shard, each with (position of its case, study_uid), and the series that are left out."""
    places: list[tuple[int, str]] = []
    rejected: list[Rejected] = []
    jobs: list[Job] = []
    for n, case in enumerate(cases):
        for study in case.studies:
            wanted, left = chosen_series(study, config.ct)
            rejected += left
            for series in wanted:
                places.append((n, study.study_uid))
                jobs.append(
                    Job(
                        series=series,
                        modality=study.modality.value,
                        name=file_name(case, study, series),
                        root=root,
                        spec=config.image,
                        sheet=config.contact_sheets,
                    )
                )
    return places, rejected, jobs
