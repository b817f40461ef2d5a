"""A certificate of a small run: what it counts is what is there, and planted faults of deid are in it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from p2med.certify import folder
from p2med.certify import run as certify_run
from p2med.certify.certificate import FOLDER
from p2med.certify.linkage import linkage
from p2med.certify.measure import remains
from p2med.certify.residual import scan_run
from p2med.certify.review import hidden, write_review
from p2med.certify.run import certify
from p2med.certify.sentences import find_sentences, mark, marked, number_of
from p2med.deid import clean
from p2med.deid.config import DeidConfig
from p2med.deid.folder_file import Row
from p2med.deid.pseudonym import Pseudonyms, read_key
from p2med.deid.run import run as deid
from p2med.errors import P2MedError
from p2med.ingest.run import run as ingest
from p2med.recipe import read_recipe
from p2med.schema.case import Case, Patient, Study
from p2med.store import write_json
from p2med.synth.config import SynthConfig
from p2med.synth.run import run as synth

DEMO = Path(__file__).parents[2] / "recipes" / "demo.yaml"
HOSPITAL = SynthConfig(
    patients=8,
    xray_pixels=256,
    ct_pixels=64,
    ct_slices=5,
    inpatient_share=0.5,
    burned_in_share=0.2,
    workers=1,
)
CONFIG = DeidConfig(key_file="run:0_synth/deid.key", workers=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("certify") / "demo"
    synth(HOSPITAL, root / "0_synth")
    ingest(read_recipe(DEMO).ingest, root)
    deid(CONFIG, root)
    return root


@pytest.fixture(scope="module")
def certificate(root):
    return certify(root, root / "certificate", patients=8, per_class=6)


def identities(root: Path) -> list[str]:
    lines = (root / "0_synth" / "identities.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["value"] for line in lines]


def row(certificate, place: str, kind: str, known: bool):
    return next(r for r in certificate.classes if (r.place, r.kind, r.known) == (place, kind, known))


def test_every_class_is_planted_and_every_canary_has_one_end(certificate):
    verb = [r for r in certificate.classes if not r.place.startswith(FOLDER)]
    assert {r.place for r in verb} == {"text", "table", "header", "pixels"}
    assert len({r.kind for r in certificate.classes}) == 16
    assert certificate.planted == sum(r.planted for r in verb)
    for r in certificate.classes:
        assert r.planted == r.withheld + r.searched and 0 <= r.leaked <= r.searched
    assert certificate.dicom_files > 20 and certificate.not_copied == {}
    assert row(certificate, "header", "header_text", False).searched > 100
    assert row(certificate, "text", "patient_name", True).searched >= 4
    for kind in ("header_text", "uid", "staff_name"):
        folder = row(certificate, FOLDER + "header", kind, kind == "staff_name")
        assert folder.planted == row(certificate, "header", kind, kind == "staff_name").planted
        assert folder.searched > 20 and folder.leaked == 0


def test_what_the_tables_hold_is_removed_and_clinical_words_stay(certificate):
    known = [r for r in certificate.classes if r.known and r.place in ("text", "table", "header")]
    assert sum(r.leaked for r in known) == 0
    assert certificate.damage.clinical_terms >= 30
    assert certificate.damage.clinical_terms_kept == certificate.damage.clinical_terms
    assert certificate.dates.patients >= 6 and certificate.dates.patients_with_two_offsets == 0
    assert certificate.dates.moved_by_the_record_s_offset == certificate.dates.planted > 3
    assert sum(k.found for k in certificate.residual.kinds) == 0
    assert min(k.searched for k in certificate.residual.kinds) > 5


def test_the_files_hold_no_value_and_no_key_and_repeat(root, certificate, tmp_path):
    folder = root / "certificate"
    assert sorted(p.name for p in folder.iterdir()) == ["certificate.json", "certificate.pdf", "review.html"]
    key = read_key(root / "0_synth" / "deid.key")
    said = (folder / "certificate.json").read_text(encoding="utf-8")
    assert key.hex() not in said and str(root) not in said
    values = [
        json.loads(x)["value"] for x in (root / "0_synth" / "identities.jsonl").read_text().splitlines()
    ]
    assert len(values) > 50 and [v for v in values if len(v) > 2 and v in said] == []
    assert (folder / "certificate.pdf").read_bytes().startswith(b"%PDF")
    assert b"STSong-Light" in (folder / "certificate.pdf").read_bytes()
    certify(root, tmp_path, patients=8, per_class=6)
    for name in ("certificate.json", "certificate.pdf", "review.html"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_text_that_is_not_scrubbed_is_in_the_certificate(root, tmp_path, monkeypatch):
    real = clean.scrub

    def forgetful(text, *rest, **named):
        done = real(text, *rest, **named)
        return done.__class__(text, ()) if "◇" in text else done

    monkeypatch.setattr(clean, "scrub", forgetful)
    found = certify(root, tmp_path, patients=8, per_class=4)
    assert not found.clean and found.blocked == "identity_in_output"
    planted = [r for r in found.classes if r.place == "text" and r.searched]
    assert len(planted) > 18 and [r.kind for r in planted if r.leaked < r.searched] == []
    assert found.dates.moved_by_the_record_s_offset == 0


def test_text_left_in_pixels_is_in_the_certificate(root, tmp_path, monkeypatch):
    keep = CONFIG.model_copy(update={"burned_in_text": "keep"})
    monkeypatch.setattr(certify_run, "_manifest", lambda at: _with_section(at, keep))
    found = certify(root, tmp_path, patients=8, per_class=2)
    assert found.leaks["pixels: text drawn into the image"] >= 2
    assert row(found, "pixels", "pixel_text", True).leaked >= 2


def _with_section(at: Path, config: DeidConfig):
    manifest = certify_run.read_manifest(at / "2_deid")
    return manifest.model_copy(update={"section": config.model_dump(mode="json")})


def test_a_folder_command_that_copies_is_in_the_certificate(root, tmp_path, monkeypatch):
    def copies(source: Path, out: Path, *_: object) -> list[Row]:
        shutil.copytree(source, out)
        return [Row(path, "accepted", output=path) for path in folder.input_paths(source)]

    monkeypatch.setattr(folder, "clean_folder", copies)
    found = certify(root, tmp_path, patients=3, per_class=1)
    rows = [r for r in found.classes if r.place.startswith(FOLDER)]
    assert len(rows) > 8 and [r.kind for r in rows if r.leaked < r.searched] == []
    assert not any(r.leaked for r in found.classes if r.place in ("table", "header"))


def test_a_real_value_in_the_run_s_output_is_found(root, tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(root, copy)
    rows = pq.read_table(copy / "1_ingest" / "items-00000.parquet").to_pylist()
    name = next(n for r in rows for n in r["patient"]["names"] if len(n) == 3 and not n.isascii())
    assert not any(k.found for k in scan_run(copy).kinds)
    with open(copy / "2_deid" / "notes.txt", "w", encoding="gb18030") as file:
        file.write(f"复诊：{name}")
    found = scan_run(copy)
    assert [k.kind for k in found.kinds if k.found] == ["name"]
    assert found.files_with_finds == ("2_deid/notes.txt",)


def test_the_review_queue_hides_values_and_crops_films(root, tmp_path):
    names = Pseudonyms(read_key(root / "0_synth" / "deid.key"))
    count = write_review(root, names, tmp_path / "review.html")
    page = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert count >= 1 and page.count("<tr>") == count + 1
    assert "data:image/png;base64" in page and "http" not in page
    values = [
        json.loads(x)["value"] for x in (root / "0_synth" / "identities.jsonl").read_text().splitlines()
    ]
    assert [v for v in values if len(v) > 5 or not v.isascii() if v in page] == []
    assert "1_ingest, case " in page
    shown = hidden("患儿宋诗梓，电话13871896132，ZHANG")
    assert shown == "患儿■■■，电话00000000000，aaaaa"


def test_a_run_of_another_version_is_refused(root, tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(root / "1_ingest", copy / "1_ingest")
    with pytest.raises(P2MedError, match="not finished"):
        certify(copy, tmp_path / "out")
    manifest = json.loads((root / "2_deid" / "manifest.json").read_bytes())
    write_json(copy / "2_deid" / "manifest.json", manifest | {"code": "older"})
    with pytest.raises(P2MedError, match="another version"):
        certify(copy, tmp_path / "out")


def child(key: str, age: int, diagnosis: str) -> Case:
    return Case(
        case_id=f"c{key}",
        source="s",
        patient=Patient(patient_key=key, sex="F", age_days=age),
        studies=(Study(study_uid=f"1.{key}", modality="CT", series=()),),
        diagnoses=(diagnosis,),
    )


def test_one_child_alone_is_counted():
    cases = [child(str(n), 800 + n, "肺炎") for n in range(6)] + [child("x", 4000, "戈谢病")]
    found = linkage(cases)
    years = found.groups[0]
    assert (years.patients, years.smallest_k, years.alone, years.below_5) == (7, 1, 1, 1)
    assert found.groups[2].alone == 7
    assert (found.diagnoses, found.rare_diagnoses, found.patients_with_rare_diagnosis) == (2, 1, 1)
    assert linkage([]).groups[0].patients == 0


@pytest.mark.parametrize(
    "kind, value, text, left",
    [
        ("patient_name", "欧阳霁珩", "患儿[姓名]咳嗽", False),
        ("patient_name", "欧阳霁珩", "患儿欧阳[姓名]咳嗽", True),
        ("patient_name", "张霁珩", "患儿[姓名]霁 珩咳嗽", True),
        ("institution", "郯鄞县人民医院", "[机构]人民医院就诊", False),
        ("institution", "郯鄞县人民医院", "郯鄞[机构]就诊", True),
        ("phone", "13812345678", "电话138****5678", True),
        ("phone", "13812345678", "电话[电话]，体温38.5", False),
    ],
)
def test_a_rest_of_a_value_is_a_leak(kind, value, text, left):
    assert remains(kind, value, "患儿咳嗽，体温38.5", text) == left


def test_marks_name_their_sentence():
    assert [number_of(mark(n)) for n in (0, 1, 17, 65535)] == [0, 1, 17, 65535]
    text = f"发热。{marked(300, '姓名：[姓名]。')}{marked(7, '余无特殊。')}"
    assert list(find_sentences(text)) == [(300, "姓名：[姓名]。"), (7, "余无特殊。")]


def test_the_command_says_what_leaked(root, tmp_path):
    words = [sys.executable, "-m", "p2med.cli", "deid", "certify", str(root), "--out", str(tmp_path)]
    done = subprocess.run(
        [*words, "--patients", "2", "--per-class", "1"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("planted ") and "certificate.pdf" in done.stdout
    words[5] = str(tmp_path)
    empty = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert empty.returncode == 2 and empty.stderr.count("\n") == 1
