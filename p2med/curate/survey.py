"""The first pass: decide over the whole hospital on split and duplicates, holding columns, not cases."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from p2med.curate.census import census
from p2med.curate.config import CurateConfig, DedupConfig
from p2med.curate.duplicates import OutpatientTexts, Pair
from p2med.curate.filters import conflict_of, subject_of
from p2med.curate.leaks import TRACE_COLUMNS, Trace, gate, trace_of
from p2med.curate.pictures import fingerprints
from p2med.curate.records import CountTokens, Fault, fault_of
from p2med.curate.split import leaks
from p2med.curate.split_families import Families
from p2med.errors import P2MedError
from p2med.pool import in_order
from p2med.schema.terms import RecordKind
from p2med.store import shard_paths


class Survey:
    """What the second pass needs to know about all cases.

    `split_of` patient_key -> split; `faults` (case_id, record_id) -> reason and detail of dropped records;
    `notes` for the manifest; `pairs` near-duplicates to look at;
    `leaking` case_id -> the kind of leak for which a training case goes.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        config: CurateConfig,
        count: CountTokens,
        pictures: Sequence[Path],
        pool: ProcessPoolExecutor | None = None,
    ):
        people = Families(_traces(paths, pictures, pool), config)
        self.split_of = people.plan.split_of
        self.faults: dict[tuple[str, str], Fault] = {}
        self._tokens: dict[str, list[int]] = {}
        self.pairs: list[Pair] = []
        outpatient = OutpatientTexts()
        for row in _rows(paths, ["case_id", "patient", "records", "studies"]):
            for record in row["records"]:
                key = (row["case_id"], record["record_id"])
                if self._passes(key, record, row, config, count) and config.dedup is not None:
                    if record["kind"] == RecordKind.OUTPATIENT_RECORD:
                        split = self.split_of[row["patient"]["patient_key"]]
                        outpatient.add(key, record["sections"], split)
        self.notes: dict[str, Any] = {"tokens": {k: _spread(v) for k, v in sorted(self._tokens.items())}}
        if config.dedup is not None:
            faults, self.notes["dedup"] = outpatient.decide(config.dedup, config.workers)
            self.faults |= faults
            self.pairs = outpatient.pairs
        del outpatient  # its texts, before those of the leaks are compared
        self.leaking = people.leaks(self.faults)
        self.notes["families"] = people.notes

        self._by_case: dict[str, list[tuple[tuple[str, str], Fault]]] = {}
        for key, fault in self.faults.items():
            self._by_case.setdefault(key[0], []).append((key, fault))

    def faults_of(self, case_id: str) -> list[tuple[tuple[str, str], Fault]]:
        """The entries of `faults` for one case."""
        return self._by_case.get(case_id, [])

    def _passes(
        self,
        key: tuple[str, str],
        record: dict[str, Any],
        case: dict[str, Any],
        config: CurateConfig,
        count: CountTokens,
    ) -> bool:
        tokens = sum(count(text) for text in record["sections"].values())
        self._tokens.setdefault(record["kind"], []).append(tokens)
        fault = fault_of(RecordKind(record["kind"]), record["sections"], tokens, config.max_tokens)
        fault = fault or conflict_of(subject_of(record, case), config.filters)
        if fault is not None:
            self.faults[key] = fault
        return fault is None


def _rows(paths: Sequence[Path], columns: list[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        yield from pq.read_table(path, columns=columns).to_pylist(maps_as_pydicts="strict")


def _patients(paths: Sequence[Path]) -> Iterator[tuple[str, str | None]]:
    for row in _rows(paths, ["patient", "split"]):
        yield row["patient"]["patient_key"], row["split"]


def _spread(tokens: list[int]) -> dict[str, int]:
    p50, p90, p99 = np.percentile(tokens, [50, 90, 99], method="lower")
    return {"records": len(tokens), "p50": int(p50), "p90": int(p90), "p99": int(p99), "max": max(tokens)}


def outcome(folder: Path) -> dict[str, Any]:
    """What the finished shards hold: cases, patients and diseases of each split, imbalance of training.

    Raises:
      P2MedError: a patient is in two splits.
    """
    paths = shard_paths(folder)
    if count := leaks(_patients(paths)):
        raise P2MedError(f"{folder}: {count} patients are in two splits; this is a fault of p2med")
    cases: Counter[str] = Counter()
    patients: dict[str, set[str]] = {}
    diseases: dict[str, Counter[str]] = {}
    for row in _rows(paths, ["patient", "split", "diagnoses"]):
        split = row["split"]
        cases[split] += 1
        patients.setdefault(split, set()).add(row["patient"]["patient_key"])
        diseases.setdefault(split, Counter()).update(row["diagnoses"])
    return {
        "census": census(_rows(paths, ["patient", "studies"])),
        "cases": dict(sorted(cases.items())),
        "patients": {s: len(p) for s, p in sorted(patients.items())},
        "diseases": {
            s: dict(sorted(c.items(), key=lambda x: (-x[1], x[0]))) for s, c in sorted(diseases.items())
        },
        "imbalance": imbalance(diseases.get("train", Counter())),
    }


def _traces(
    paths: Sequence[Path], pictures: Sequence[Path], pool: ProcessPoolExecutor | None
) -> Iterator[tuple[Trace, str | None]]:
    """Every case's trace, with its split."""
    for found in in_order(pool, _traces_of_shard, zip(paths, pictures, strict=True)):
        yield from found


def _traces_of_shard(job: tuple[Path, Path]) -> list[tuple[Trace, str | None]]:
    path, pictures = job
    prints = fingerprints(pictures)
    return [(trace_of(row, prints), row["split"]) for row in _rows([path], list(TRACE_COLUMNS))]


def gate_of(
    folder: Path, pictures: Sequence[Path], config: CurateConfig, pool: ProcessPoolExecutor | None = None
) -> dict[str, Any]:
    """The leak gate, on what the finished shards hold.

    Raises:
      P2MedError: the held-out data leak.
    """
    sides: dict[bool, list[Trace]] = {True: [], False: []}
    for trace, split in _traces(shard_paths(folder), pictures, pool):
        sides[split == "train"].append(trace)
    return gate(sides[True], sides[False], config.leaks, config.dedup or DedupConfig(), config.workers)


def imbalance(diseases: Counter[str]) -> float | None:
    """How many times the commonest disease is as common as the rarest; None without diseases."""
    return round(max(diseases.values()) / min(diseases.values()), 2) if diseases else None
