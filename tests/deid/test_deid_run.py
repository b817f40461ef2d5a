"""The verb on the synthetic hospital: no planted value in any byte, nothing lost, kills do not matter."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import pytest

from p2med.deid import pseudonym
from p2med.deid.audit import audit
from p2med.deid.config import DeidConfig
from p2med.deid.folder import clean_folder
from p2med.deid.folder_file import Settings
from p2med.deid.header import convolution_kernel, technical_facts, view_position
from p2med.deid.pseudonym import Pseudonyms, new_key, read_key
from p2med.deid.run import run
from p2med.deid.text_command import Scrubber
from p2med.errors import P2MedError, PhiError, RecipeError
from p2med.ingest.run import run as ingest
from p2med.recipe import read_recipe
from p2med.schema.case import Case
from p2med.schema.identified import IdentifiedCase
from p2med.store import read_items
from p2med.synth.config import SynthConfig
from p2med.synth.run import run as synth

DEMO = Path(__file__).parents[2] / "recipes" / "demo.yaml"
CONFIG = DeidConfig(key_file="run:0_synth/deid.key", workers=1)
HOSPITAL = SynthConfig(
    patients=14,
    xray_pixels=256,
    ct_pixels=64,
    ct_slices=6,
    inpatient_share=0.5,
    burned_in_share=0.25,
    workers=1,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder up to deid."""
    root = tmp_path_factory.mktemp("deid") / "demo"
    synth(HOSPITAL, root / "0_synth")
    ingest(read_recipe(DEMO).ingest, root)
    run(CONFIG, root)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def planted(root: Path) -> set[str]:
    lines = (root / "0_synth" / "identities.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["value"] for line in lines}


def texts(folder: Path) -> str:
    """Every text of the folder: Parquet is compressed, so it is read and not searched as bytes."""
    found = [str(p.relative_to(folder)) for p in folder.rglob("*")]
    for path in folder.rglob("*.parquet"):
        found += [str(row) for row in pq.read_table(path).to_pylist()]
    return "\n".join(found)


def test_no_planted_value_is_in_any_byte_of_the_output(root):
    said = texts(root / "2_deid")
    raw = b"".join(contents(root / "2_deid").values())
    values = planted(root)
    assert len(values) > 80
    assert [v for v in values if v in said] == []
    for encoding in ("utf-8", "gb18030"):
        assert not any(v.encode(encoding) in raw for v in values if len(v) > 3)


def test_the_planted_values_were_there_before(root):
    """The search above must be able to find: before deid it finds nearly all of them."""
    said = texts(root / "1_ingest")
    assert sum(v in said for v in planted(root)) > 60


def test_every_burned_in_film_is_rejected_and_side_markers_stay(root):
    truth = [json.loads(x) for x in (root / "0_synth" / "truth.jsonl").read_text().splitlines()]
    films = [s for p in truth for s in p["studies"] if s["modality"] != "CT"]
    burned = [s for s in films if s["burned_in"]]
    manifest = json.loads((root / "2_deid" / "manifest.json").read_text())
    reasons = manifest["rejected_reasons"]["study"]
    assert len(burned) >= 3
    assert sum(n for r, n in reasons.items() if r.startswith("burned_in")) == len(burned)


def test_counts_add_up_and_intervals_are_kept(root):
    counts = json.loads((root / "2_deid" / "manifest.json").read_text())["counts"]
    assert all(c["entered"] == c["passed"] + c["rejected"] for c in counts.values())
    before = {c.patient.patient_id: c for c in read_items(root / "1_ingest", IdentifiedCase)}
    names = Pseudonyms(read_key(root / "0_synth" / "deid.key"))
    after = {c.case_id: c for c in read_items(root / "2_deid", Case)}
    checked = 0
    for old in read_items(root / "1_ingest", IdentifiedCase):
        new = after.get(names.name("case", old.case_id))
        days = {names.uid(s.study_uid): s.study_date for s in old.studies}
        if new and len(new.studies) > 1:
            shifts = {(s.study_date - days[s.study_uid]).days for s in new.studies}
            shifts |= {
                (r.authored_on - o.authored_on).days
                for r in new.records
                for o in old.records
                if names.name("record", o.record_id) == r.record_id
            }
            assert len(shifts) == 1 and -365 <= shifts.pop() <= -1
            checked += 1
    assert checked >= 4 and before


def test_one_child_is_one_pseudonym_and_one_shift_in_the_verb_a_folder_and_a_note(root, tmp_path):
    key = read_key(root / "0_synth" / "deid.key")
    clean_folder(root / "0_synth" / "pacs", tmp_path / "out", key, Settings(), workers=1)
    cases = list(read_items(root / "2_deid", Case))
    told = {s.study_uid: (c.patient.patient_key, s.study_date) for c in cases for s in c.studies}
    seen = set()
    for path in (tmp_path / "out").rglob("*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        if ds.StudyInstanceUID in told:
            assert (ds.PatientID, f"{ds.StudyDate:.4}-{ds.StudyDate[4:6]}-{ds.StudyDate[6:]}") == (
                told[ds.StudyInstanceUID][0],
                str(told[ds.StudyInstanceUID][1]),
            )
            seen.add(ds.PatientID)
    assert len(seen) > 5
    scrubber, names = Scrubber(key, {}), Pseudonyms(key)
    days = {s.study_uid: s.study_date for c in cases for s in c.studies}
    for case in list(read_items(root / "1_ingest", IdentifiedCase)):
        for study in case.studies:
            note = {"id": 1, "patient": case.patient.patient_id, "text": f"复查日期:{study.study_date}。"}
            if (new := days.get(names.uid(study.study_uid))) is not None:
                assert str(new) in scrubber.scrub(note)["text"]
    clean_folder(root / "0_synth" / "pacs", tmp_path / "other", key, Settings(site="other"), workers=1)
    others = {p.name for p in (tmp_path / "other").iterdir() if p.is_dir()}
    assert others and not others & {p.name for p in (tmp_path / "out").iterdir()}
    assert '"other"' not in (tmp_path / "other" / "report.json").read_text(encoding="utf-8")


def test_a_kill_at_any_moment_changes_nothing(root, tmp_path):
    again = tmp_path / "demo"
    shutil.copytree(root / "0_synth", again / "0_synth")
    shutil.copytree(root / "1_ingest", again / "1_ingest")
    code = (
        "from pathlib import Path; from p2med.deid.config import DeidConfig; from p2med.deid.run import run; "
        f"run(DeidConfig(key_file='run:0_synth/deid.key', workers=1), Path({str(again)!r}))"
    )
    for files in (1, 12):
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list((again / "2_deid").rglob("*.npy"))) < files:
            time.sleep(0.002)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    run(CONFIG, again)
    assert contents(again / "2_deid") == contents(root / "2_deid")


def test_a_planted_leak_fails_the_last_search_without_being_quoted(root, tmp_path):
    folder = tmp_path / "2_deid"
    folder.mkdir()
    (folder / "notes.txt").write_text("call 13871896132 today")
    with pytest.raises(PhiError, match="identity_in_output") as error:
        audit(folder, {"13871896132"}, set())
    assert "13871896132" not in str(error.value)
    (folder / "notes.txt").write_text("宋诗梓来复诊", encoding="utf-8")
    with pytest.raises(PhiError):
        audit(folder, set(), {"宋诗梓"})
    assert audit(folder, {"99999999"}, {"李诗梓"}) > 0


def test_keys(tmp_path):
    path = tmp_path / "k"
    with pytest.raises(RecipeError, match="p2med key"):
        read_key(path)
    new_key(path)
    assert len(read_key(path)) == 32 and path.stat().st_mode & 0o077 == 0
    with pytest.raises(P2MedError, match="never overwritten"):
        new_key(path)
    path.write_text("short")
    with pytest.raises(RecipeError, match="32 bytes") as error:
        read_key(path)
    assert "short" not in str(error.value).replace(str(path), "")


def test_one_child_has_one_pseudonym_however_the_number_is_written():
    names = Pseudonyms(pseudonym.PUBLIC_KEY)
    assert names.name("patient", "ＺＹ 0001") == names.name("patient", "zy0001")
    assert names.name("patient", "1") != Pseudonyms(b"x" * 32).name("patient", "1")
    assert names.uid("1.2.3").startswith("2.25.") and len(names.uid("1.2.3")) <= 64
    assert {names.offset_days("s", str(n), 365) for n in range(4000)} == set(range(-365, 0))


@pytest.mark.parametrize("value", ["张三 B60f", "ZHANG SAN", "B60f 13871896132", "x" * 40])
def test_a_header_value_that_is_no_kernel_is_dropped(value):
    assert convolution_kernel(value) is None


def test_header_facts_that_are_let_pass():
    assert convolution_kernel("B60f") == "B60f" and view_position(" pa ") == "PA"
    assert view_position("宋诗梓") is None and technical_facts(None) == {}
