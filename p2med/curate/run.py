"""Verb 3: Case -> Case that may teach, with volumes as the network takes them.

2_deid ─► each shard: choose series ─► prepare pixels ─► 3_curate/pictures-*.parquet, volumes/
       ├► survey (families, split, missing, too long, duplicates, leaks; all cases) ─► splits, faults
       └► each shard: assemble ─► 3_curate/items-*.parquet ─► the leak gate ─► manifest
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from p2med.curate.assemble import assemble, parts_of, rejected_whole
from p2med.curate.config import CurateConfig
from p2med.curate.duplicates import side_by_side
from p2med.curate.pictures import STEM, Pictures, cases_of, write_pictures
from p2med.curate.records import Fault, token_counter, tokenizer_digest
from p2med.curate.survey import Survey, gate_of, outcome
from p2med.pool import in_order, workers
from p2med.progress import say, track
from p2med.schema.case import Case
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
    # Shards are numbered twice: the pictures come after the cases.
    with workers(config.workers) as pool:
        write_pictures(writer, paths, track(paths, "curate: images", len(paths)), config, root, pool)
        pictures = shard_paths(writer.folder, STEM)
        survey = Survey(paths, config, token_counter(tokenizer), pictures, pool)
        jobs = (
            _job(writer, n, path, survey, config, root) for n, path in enumerate(paths) if not writer.has(n)
        )
        for _ in track(in_order(pool, _curate_shard, jobs), "curate", len(paths)):
            pass
        notes = {**survey.notes, **outcome(writer.folder)}
        pairs, survey = survey.pairs, None  # frees its texts before the gate reads them again
        notes["leak_gate"] = gate_of(writer.folder, pictures, config, pool)
    if config.dedup is not None:
        write_text(writer.folder / "duplicates.html", side_by_side(pairs))
    return writer.finish(notes)


@dataclass(frozen=True)
class _Job:
    """One shard in, one shard out; of the survey only what the shard needs."""

    writer: FolderWriter
    number: int
    path: Path
    config: CurateConfig
    root: Path
    split_of: dict[str, str]
    faults: dict[tuple[str, str], Fault]
    leaking: dict[str, str]


def _job(
    writer: FolderWriter, number: int, path: Path, survey: Survey, config: CurateConfig, root: Path
) -> _Job:
    table = pq.read_table(path, columns=["case_id", "patient"])
    cases, patients = table["case_id"].to_pylist(), [p["patient_key"] for p in table["patient"].to_pylist()]
    return _Job(
        writer,
        number,
        path,
        config,
        root,
        {p: survey.split_of[p] for p in patients},
        {key: fault for c in cases for key, fault in survey.faults_of(c)},
        {c: survey.leaking[c] for c in cases if c in survey.leaking},
    )


def _curate_shard(job: _Job) -> None:
    pictures = Pictures(job.writer.folder, len(shard_paths(job.path.parent)) + job.number)
    kept: list[Case] = []
    rejected: list[Rejected] = []
    entered: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for case in cases_of(job.path):
        entered += parts_of(case)
        if case.case_id in job.leaking:
            rejected += rejected_whole(case, f"leak_{job.leaking[case.case_id]}")
            continue
        images, left = pictures.prepared(case, job.config, job.root)
        whole, losses = assemble(case, images, job.faults, job.split_of[case.patient.patient_key], job.config)
        rejected += left + losses
        if whole is not None:
            kept.append(whole)
            passed += parts_of(whole)
    job.writer.write(job.number, kept, Case, rejected, entered=entered, passed=passed)
