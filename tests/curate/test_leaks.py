"""The leak gate: planted leaks of six kinds are found, a clean hospital gives no alarm, none is written."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from curate_cases import case, outpatient, report, sentence, write_deid, xray
from planted_leaks import hospital, plant

from p2med.curate.config import CurateConfig, DedupConfig, LeakConfig
from p2med.curate.leaks import KINDS, PLACEHOLDER, Trace, find_leaks, gate
from p2med.curate.leaks_images import fingerprint
from p2med.curate.leaks_texts import near_texts, skeleton
from p2med.curate.run import run
from p2med.errors import P2MedError
from p2med.imaging.spec import ImageSpec
from p2med.schema.case import Case, Record
from p2med.store import read_items, verb_folder, write_volume

CONFIG = CurateConfig(image=ImageSpec(size=32), workers=1)
RULES = (LeakConfig(), DedupConfig())


@pytest.fixture(scope="module")
def planted():
    made = hospital(400, bench_share=0.25)
    clean = made.sides()
    plant(made, 12)
    return made, clean, made.sides()


def test_a_clean_hospital_gives_no_alarm(planted):
    _, (training, bench), _ = planted
    assert len(training) == 300 and len(bench) == 100
    assert find_leaks(training, bench, *RULES) == []
    note = gate(training, bench, LeakConfig(max_template_rate=0.0), DedupConfig())
    assert set(note["found"].values()) == {0} and note["benchmark_reports"] == 100


@pytest.mark.parametrize("kind", KINDS)
def test_every_planted_leak_is_found_and_nothing_else(planted, kind):
    made, _, (training, bench) = planted
    leaks = find_leaks(training, bench, *RULES)
    assert made.found(leaks, kind) == set(made.planted[kind])
    assert {x.training for x in leaks} <= {i for ids in made.planted.values() for i in ids}


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "template"])
def test_the_gate_refuses_each_kind_by_name(planted, kind):
    made, _, (training, bench) = planted
    others = {i for k, ids in made.planted.items() if k != kind for i in ids}
    with pytest.raises(P2MedError, match=f"12 {kind}"):
        gate([t for t in training if t.case_id not in others], bench, *RULES)


def test_templates_are_refused_beyond_the_stated_rate(planted):
    made, _, (training, bench) = planted
    others = {i for k, ids in made.planted.items() if k != "template" for i in ids}
    training = [t for t in training if t.case_id not in others]
    note = gate(training, bench, LeakConfig(max_template_rate=1.0), DedupConfig())
    rate = note["template_rate"]
    assert rate >= 0.12 and note["found"]["template"] == 100 * rate  # the 12, and others of their templates
    assert gate(training, bench, LeakConfig(max_template_rate=rate), DedupConfig()) == note
    with pytest.raises(P2MedError, match=r"of 100 benchmark reports share a template"):
        gate(training, bench, LeakConfig(max_template_rate=rate - 0.01), DedupConfig())


def test_held_out_copies_of_one_text_are_each_compared():
    """Chains: training text t is near the second held-out text alone, and u is near t alone."""
    base = sentence(1, 200)
    first, second = base, base[:150] + sentence(2, 14) + base[164:]
    third = second[:30] + sentence(3, 12) + second[42:]
    config = DedupConfig(min_jaccard=0.8)
    assert near_texts([third], [first], config) == {}
    assert near_texts([third], [first, second], config) == {0: 1}
    assert near_texts([third, third + "复诊"], [second], config) == {0: 0, 1: 0}


def test_an_accession_of_many_patients_is_a_placeholder():
    def trace(n: int, accession: str) -> Trace:
        return Trace(case_id=f"c{n}", patient_key=f"p{n}", accessions=(accession,))

    many = [trace(n, "none") for n in range(PLACEHOLDER + 1)]
    assert find_leaks(many[1:], many[:1], *RULES) == []
    assert [x.kind for x in find_leaks([trace(1, "DR7")], [trace(2, "DR7")], *RULES)] == ["same_study"]


def test_a_skeleton_drops_what_varies():
    assert skeleton("右肺上叶见大片状实变影，大小约3.1cm。") == skeleton(
        "左肺下叶见大片状实变影，大小约12cm。"
    )
    assert skeleton("右肺上叶见大片状实变影。") != skeleton("右肺上叶见结节影。")


def test_a_fingerprint_of_nothing_resembles_nothing():
    assert not fingerprint(np.full((1, 40, 40), 0.5, np.float16)).any()
    assert fingerprint(np.random.default_rng(0).random((9, 40, 40))).shape == (1024,)


# ---------------------------------------------------------------- the verb


def leaking_hospital(root) -> list[Case]:
    """Thirty children; the source preset both sides, and three of its training cases leak."""
    cases = []
    for n in range(30):
        study = xray(root, f"s{n}")
        split = "bench" if n < 6 else "train"
        cases.append(case(n, studies=(study,), records=(outpatient(f"o{n}", n), report(study)), split=split))
    again = xray(root, "again")
    film = np.load(root / "pixels/s0.npy")
    write_volume(root / "pixels/again.npy", (film // 2 + 7).astype(np.int16))
    cases.append(case(60, studies=(again,), records=(report(again),), split="train"))
    extra = {
        "past_medical_history": "否认",
        "auxiliary_examination": "无",
        "diagnosis": "咳",
        "advice": "休息",
    }
    course, held = (
        Record(record_id=name, kind="consultation", sections={**outpatient("o", 1).sections, **extra})
        for name in ("h61", "h62")
    )
    cases.append(case(61, records=(course,), split="train"))
    cases.append(case(62, records=(held,), split="bench"))
    return cases


def test_the_verb_drops_what_leaks_with_its_reason_and_its_gate_agrees(tmp_path):
    write_deid(tmp_path, leaking_hospital(tmp_path))
    manifest = run(CONFIG, tmp_path)
    rows = pq.read_table(verb_folder(tmp_path, "curate") / "rejected.parquet").to_pylist()
    lost = {(r["noun"], r["id"], r["reason"]) for r in rows}
    assert {("case", "c60", "leak_same_image"), ("series", "again.1", "leak_same_image")} <= lost
    assert ("record", "h61", "leak_benchmark_item") in lost
    assert not any(r["reason"].startswith("leak") and r["id"] in ("c0", "h62") for r in rows)
    kept = {c.case_id for c in read_items(verb_folder(tmp_path, "curate"), Case)}
    assert kept == {f"c{n}" for n in [*range(30), 62]}
    assert set(manifest.notes["leak_gate"]["found"].values()) <= {0, 6}  # templates: all reports are one
    assert manifest.notes["families"]["dropped_cases"] == {"same_image": 1}
    for count in manifest.counts.values():
        assert count.entered == count.passed + count.rejected


def test_refuse_stops_the_run_and_leaves_no_finished_folder(tmp_path):
    write_deid(tmp_path, leaking_hospital(tmp_path))
    strict = CONFIG.model_copy(update={"leaks": LeakConfig(action="refuse")})
    with pytest.raises(P2MedError, match="1 same_image"):
        run(strict, tmp_path)
    with pytest.raises(P2MedError, match="benchmark reports share a template"):
        run(CONFIG.model_copy(update={"leaks": LeakConfig(max_template_rate=0.5)}), tmp_path)
    assert not (verb_folder(tmp_path, "curate") / "manifest.json").exists()


@pytest.mark.parametrize(
    "dedup, reason",
    [
        (DedupConfig(), "duplicate_of_bench"),
        (DedupConfig(min_jaccard=0.97), "leak_near_text"),  # removal asks for more than the gate
        (DedupConfig(min_jaccard=0.97, verify=False), "duplicate_of_bench"),  # sharing a bucket is enough
        (None, "leak_near_text"),
    ],
)
def test_whatever_deduplication_leaves_of_held_out_records_goes(tmp_path, dedup, reason):
    record = outpatient("o1", 1)
    text = record.sections["history_of_present_illness"]
    copy = outpatient("o2", 1, history_of_present_illness=text[:60] + "某" + text[61:])
    cases = [case(1, records=(record,), split="bench"), case(2, records=(copy,), split="train")]
    write_deid(tmp_path, [*cases, case(3, records=(outpatient("o3", 3),), split="train")])
    run(CONFIG.model_copy(update={"dedup": dedup}), tmp_path)
    rows = pq.read_table(verb_folder(tmp_path, "curate") / "rejected.parquet").to_pylist()
    assert [(r["id"], r["reason"]) for r in rows if r["noun"] == "record"] == [("o2", reason)]
