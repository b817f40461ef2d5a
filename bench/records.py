"""How reports, records and studies find each other when the numbers that join them are missing.

python bench/records.py --patients 300
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from p2med.ingest.header import Instance
from p2med.ingest.join import JoinOptions, joined
from p2med.ingest.records import TableOptions, read_tables, reader
from p2med.ingest.scan import scan
from p2med.recipe import read_recipe
from p2med.schema.identified import IdentifiedCase
from p2med.schema.terms import RecordKind
from p2med.store import Rejected
from p2med.synth.config import SynthConfig
from p2med.synth.run import run as synth

DEMO = Path(__file__).parents[1] / "recipes" / "demo.yaml"
VARIANTS = {
    "all numbers": (),
    "reports without accession number": (("radiology_report", "accession_number"),),
    "reports without any number": (
        ("radiology_report", "accession_number"),
        ("radiology_report", "visit_number"),
    ),
    "nothing has a visit number": tuple((k.value, "visit_number") for k in RecordKind),
    "no number at all": (
        *((k.value, "visit_number") for k in RecordKind),
        ("radiology_report", "accession_number"),
    ),
}  # fmt: skip


def without(table: TableOptions, dropped) -> TableOptions:
    columns = {h: f for h, f in table.columns.items() if (table.kind, f) not in dropped}
    return table.model_copy(update={"columns": columns})


def read(tables, exports: Path, images):
    """Report text by study, the texts of the other records in the study's case, and what was refused."""
    found = list(
        joined(
            "hospital",
            read_tables(tables, reader(exports, None, exports)),
            images,
            frozenset(),
            JoinOptions(),
        )
    )
    reports, visits, rules = {}, {}, Counter()
    for case in (f for f in found if isinstance(f, IdentifiedCase)):
        others = frozenset(str(r.sections) for r in case.records if r.study_uid is None)
        for study in case.studies:
            visits[study.study_uid] = others
            rules["study -> visit", study.joined_by] += 1
        for record in case.records:
            rules["report -> study" if record.study_uid else "record -> visit", record.joined_by] += 1
            if record.study_uid:
                reports[record.study_uid] = str(record.sections)
    refused = Counter(f.reason for f in found if isinstance(f, Rejected) and f.noun == "record_row")
    return reports, visits, rules, refused


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--patients", type=int, default=300)
    given = options.parse_args()
    (source,) = read_recipe(DEMO).ingest.sources
    tables = [TableOptions.model_validate(t) for t in source.tables]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "0_synth"
        synth(SynthConfig(patients=given.patients, xray_pixels=64, ct_pixels=64, ct_slices=4, seed=5), root)
        images = scan(str(root / "pacs"), root)
        print(f"{given.patients} patients, {sum(isinstance(i, Instance) for i in images)} images")
        true_reports = true_visits = None
        for name, dropped in VARIANTS.items():
            began = time.perf_counter()
            reports, visits, rules, refused = read(
                [without(t, dropped) for t in tables], root / "exports", images
            )
            true_reports, true_visits = true_reports or reports, true_visits or visits
            wrong = sum(true_reports.get(uid) != text for uid, text in reports.items())
            missed = len(true_reports.keys() - reports.keys())
            # A visit's records may be fewer than in truth, when one was refused, but never another's.
            strange = sum(not others <= true_visits[uid] for uid, others in visits.items())
            alone = sum(not visits[uid] and bool(others) for uid, others in true_visits.items())
            print(f"\n{name} ({time.perf_counter() - began:.1f} s)")
            print(
                f"  reports: {len(reports)} joined, {wrong} wrongly; {missed} of {len(true_reports)} missed"
            )
            print(f"  studies: {strange} of {len(visits)} at another visit, {alone} without theirs")
            print("  rules:  ", ", ".join(f"{a} {b} {n}" for (a, b), n in sorted(rules.items(), key=str)))
            print("  refused:", dict(sorted(refused.items())))


if __name__ == "__main__":
    main()
