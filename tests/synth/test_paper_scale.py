"""The paper's counts as text: exact counts, the same bytes whoever writes them, near-duplicates in it."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from p2med.schema.case import Case
from p2med.store import read_items, read_manifest, verb_folder
from p2med.synth.config import SynthConfig
from p2med.synth.paper import COUNTS, make_plan, make_shard, run

SHARE = 0.02
CONFIG = SynthConfig(paper_scale=True, share=SHARE, seed=3, workers=1)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    root = tmp_path_factory.mktemp("paper")
    run(CONFIG, root)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_plan_has_the_papers_counts():
    plan = make_plan(7)
    assert plan.visits.sum() == 684_758 and len(plan.visits) == 163_999 and plan.visits.min() == 1
    assert plan.admissions.sum() == 9_993 and len(plan.admissions) == 8_684


def test_every_kind_has_its_share_of_the_papers_count(hospital):
    kinds: Counter[str] = Counter()
    patients, sexes = set(), set()
    for case in read_items(verb_folder(hospital, "deid"), Case):
        patients.add(case.patient.patient_key)
        sexes.add((case.patient.patient_key, case.patient.sex))
        for record in case.records:
            kinds[record.record_id.split("-")[0] if record.kind == "radiology_report" else record.kind] += 1
            assert all(record.sections.values())
    assert kinds == {k: round(n * SHARE) for k, n in COUNTS.items()}
    manifest = read_manifest(verb_folder(hospital, "deid"))
    assert manifest.counts["record"].passed == kinds.total()
    assert len(sexes) == len(patients)  # a child keeps his sex
    assert len(patients) == round(163_999 * SHARE) + round(8_684 * SHARE)


def test_records_are_of_the_stated_length_and_some_are_copies():
    rows = make_shard(make_plan(3, SHARE), 3, 0)
    texts = [
        "".join(t for _, t in r["sections"]) for c in rows for r in c["records"] if c["case_id"][1] == "o"
    ]
    texts = [t for t in texts if len(t) > 150]
    assert 330 < sum(map(len, texts)) / len(texts) < 410
    assert len({t[:40] for t in texts}) < 0.95 * len(texts) < 0.999 * len(set(texts))


def test_the_number_of_processes_and_a_kill_change_nothing(hospital, tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom p2med.synth.paper import run\n"
        "from p2med.synth.config import SynthConfig\nleft, replace = 3, os.replace\n"
        "def counted(*a):\n    global left\n    left -= 1\n"
        "    if left < 0:\n        os.kill(os.getpid(), signal.SIGKILL)\n    replace(*a)\n"
        "os.replace = counted\nrun(SynthConfig.model_validate_json(sys.argv[2]), Path(sys.argv[1]))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), CONFIG.model_dump_json()], timeout=60)
    assert killed.returncode == -9 and not (verb_folder(tmp_path, "deid") / "manifest.json").exists()
    run(CONFIG.model_copy(update={"workers": 2}), tmp_path)
    assert contents(verb_folder(tmp_path, "deid")) == contents(verb_folder(hospital, "deid"))
