"""The paper's counts as text: 684,758 outpatient records and all others, as a finished 2_deid folder.

    p2med synth runs/paper --paper-scale; p2med run recipes/paper.yaml

Its cases have no images and no identity, so ingest and deid have nothing to do: it is there to measure curate
and mix. Copies are forwarded from an earlier visit of the child, or of another child of the same shard, with
edits that leave a Jaccard of 0.6 to 1. Each shard depends on (seed, its number) alone, whoever writes it.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from p2med.arrow import arrow_schema
from p2med.pool import in_order, workers
from p2med.progress import say, track
from p2med.schema.case import Case
from p2med.store import FolderWriter, code_digest, verb_folder, write_json, write_table
from p2med.synth.config import SynthConfig
from p2med.synth.paper_charts import INPATIENT, Draws, outpatient, report
from p2med.synth.paper_counts import COUNTS, DAYS, FIRST_DAY, INPATIENTS, OUTPATIENTS

SHARD_PATIENTS = 2048
DAYS_BETWEEN = 24
"""Between two visits of one child."""
SCHEMA = arrow_schema(Case)


@dataclass(frozen=True)
class Plan:
    """How many patients and records each shard has; everything else is drawn in the shard."""

    visits: np.ndarray
    """int64[OUTPATIENTS]: outpatient records of each patient."""
    admissions: np.ndarray
    """int64[INPATIENTS]"""
    share: float = 1.0

    @property
    def shards(self) -> int:
        return -(-len(self.visits) // SHARD_PATIENTS)


def make_plan(seed: int, share: float = 1.0) -> Plan:
    """Every patient has one visit; the others fall on patients by a gamma, as chronic coughers come often."""
    rng = np.random.default_rng([seed, 684_758])
    patients = max(2, round(OUTPATIENTS * share))
    more = max(0, round(COUNTS["outpatient_record"] * share) - patients)
    weight = rng.gamma(0.7, 1.0, patients) + 1e-9
    visits = 1 + rng.multinomial(more, weight / weight.sum())
    inpatients = max(1, round(INPATIENTS * share))
    again = max(0, round(COUNTS["attending_round_record"] * share) - inpatients)
    return Plan(visits, 1 + rng.multinomial(again, np.full(inpatients, 1 / inpatients)), share)


def run(config: SynthConfig, root: Path) -> None:
    """Write `root/2_deid`; a killed run continues after its last complete shard."""
    plan = make_plan(config.seed, config.share)
    section = SynthConfig(seed=config.seed, paper_scale=True, share=config.share)
    writer = TableWriter(verb_folder(root, "deid"), "deid", section, [], code_digest("synth", "schema"))
    if writer.finished:
        say("synth: up to date")
        return
    todo = [n for n in range(plan.shards) if not writer.has(n)]
    with workers(config.workers, len(todo)) as pool:
        make = partial(_write_shard, writer, plan, config.seed)
        for _ in track(in_order(pool, make, todo), "synth", len(todo)):
            pass
    manifest = writer.finish({"made_by": "synth", "paper_counts": COUNTS, "share": config.share})
    counts = ", ".join(f"{c.passed} {noun}" for noun, c in manifest.counts.items())
    say(f"synth: {counts}")


class TableWriter(FolderWriter):
    """A folder writer that takes a table as it is, without an object for each row."""

    def write_rows(self, shard: int, table: pa.Table, counts: dict[str, int]) -> None:
        write_table(self.folder / f"items-{shard:05d}.parquet", table)
        kept = {noun: {"entered": n, "passed": n, "rejected": 0} for noun, n in counts.items()}
        write_json(self._part(shard), {"counts": kept, "rejected": []})


def _write_shard(writer: TableWriter, plan: Plan, seed: int, number: int) -> None:
    rows = make_shard(plan, seed, number)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    records = sum(len(r["records"]) for r in rows)
    writer.write_rows(number, table, {"case": len(rows), "record": records})


# ---------------------------------------------------------------- one shard


def make_shard(plan: Plan, seed: int, number: int) -> list[dict[str, Any]]:
    """The cases of the patients of one shard."""
    rng = np.random.default_rng([seed, number])
    start = number * SHARD_PATIENTS
    visits = plan.visits[start : start + SHARD_PATIENTS]
    drawn = Draws(rng, int(visits.sum()))
    cases, texts = [], []
    xrays = _places(plan, "xray", number, len(drawn.days), rng)
    cts = _places(plan, "ct", number, len(drawn.days), rng)
    row = 0
    for patient, count in enumerate(visits.tolist(), start):
        own = len(texts)
        for k in range(count):
            texts.append(outpatient(drawn, row, texts, own, k))
            name = f"o{patient:06d}-{k}"
            records = [_record(name, "outpatient_record", texts[-1])]
            for what, places in (("xray", xrays), ("ct", cts)):
                if row in places:
                    records.append(_record(f"{what}-{name}", "radiology_report", report(drawn, row)))
            cases.append(_case(name, f"p{patient:06d}", drawn, row, k, "AMB", records))
            row += 1
    return cases + _admissions(plan, seed, number)


def _places(plan: Plan, what: str, number: int, visits: int, rng: np.random.Generator) -> set[int]:
    """The visits of this shard with an examination; over all shards exactly as many as the paper has."""
    total = round(COUNTS[what] * plan.share)
    before = np.concatenate([[0], np.cumsum(plan.visits)])
    ends = before[
        [min(number * SHARD_PATIENTS, len(plan.visits)), min((number + 1) * SHARD_PATIENTS, len(plan.visits))]
    ]
    first, last = (total * e // before[-1] for e in ends)
    return set(rng.choice(visits, int(last - first), replace=False).tolist())


# ---------------------------------------------------------------- admissions


def _admissions(plan: Plan, seed: int, number: int) -> list[dict[str, Any]]:
    """The admissions of the inpatients who fall into this shard, each with up to three records."""
    rng = np.random.default_rng([seed, number, 1])
    first, last = (len(plan.admissions) * n // plan.shards for n in (number, number + 1))
    before = np.concatenate([[0], np.cumsum(plan.admissions)])
    total = {k: round(COUNTS[k] * plan.share) for k in COUNTS}
    most = total["attending_round_record"]
    drawn = Draws(rng, int(before[last] - before[first]))
    cases, row = [], 0
    for patient in range(first, last):
        for k in range(int(plan.admissions[patient])):
            place = int(before[patient]) + k
            records = []
            for kind, make in INPATIENT.items():
                # Evenly over the admissions, so that the totals are the paper's.
                if total[kind] * (place + 1) // most > total[kind] * place // most:
                    records.append(_record(f"{kind}-{patient:05d}-{k}", kind, make(drawn, row)))
            cases.append(_case(f"i{patient:05d}-{k}", f"q{patient:05d}", drawn, row, k, "IMP", records))
            row += 1
    return [c for c in cases if c["records"]]


def _record(name: str, kind: str, sections: dict[str, str]) -> dict[str, Any]:
    return {
        "record_id": name,
        "kind": kind,
        "authored_on": None,
        "sections": list(sections.items()),
        "study_uid": None,
        "diagnoses": [],
    }


def _case(
    name: str,
    patient: str,
    drawn: Draws,
    row: int,
    visit: int,
    encounter: str,
    records: list[dict[str, Any]],
) -> dict[str, Any]:
    """`visit` is the number of this visit of the patient; sex and birth are those of the first one's row."""
    first = row - visit
    day = FIRST_DAY + timedelta(min(drawn.days[first], DAYS - DAYS_BETWEEN * visit) + DAYS_BETWEEN * visit)
    for record in records:
        record["authored_on"] = day
    return {
        "case_id": f"c{name}",
        "source": "paper_scale",
        "encounter_class": encounter,
        "patient": {
            "patient_key": patient,
            "sex": "M" if drawn.sexes[first] < 58 else "F",
            "age_days": drawn.ages[first] + DAYS_BETWEEN * visit,
        },
        "studies": [],
        "records": records,
        "questions": [],
        "boxes": [],
        "diagnoses": [],
        "split": None,
    }
