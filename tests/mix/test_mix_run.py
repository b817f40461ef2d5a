"""The verb on cases made by hand: made = drawn + left, held-out cases in no stage, kills change nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from p2med.errors import P2MedError, RecipeError
from p2med.mix.config import BenchmarkConfig, BenchmarkTask, MixConfig, SamplerConfig
from p2med.mix.run import run
from p2med.schema.base import Frozen
from p2med.schema.case import Case, Patient, Record, Series, Study, Volume
from p2med.schema.conversation import Conversation
from p2med.store import FolderWriter, read_items, verb_folder

SPLITS = ("train", "train", "train", "train", "val", "bench")
LABELS = ("支气管肺炎", "支气管炎", "腹泻")
CONFIG = MixConfig(
    stages={
        "stage1": {"xray_report": SamplerConfig(), "outpatient_record": SamplerConfig()},
        "stage2": {
            "outpatient_record": SamplerConfig(max_per_category=2, match_total_of="inpatient"),
            "first_course_record": SamplerConfig(),
        },
    }
)


class Section(Frozen):
    made: str = "by hand"


def record(kind: str, n: int, names: tuple[str, ...], **more) -> Record:
    return Record(record_id=f"{kind}{n}", kind=kind, sections={s: f"{s}{n}" for s in names}, **more)


def made_case(n: int) -> Case:
    """An outpatient with films on two days; every fourth an inpatient; every ninth with nothing to ask."""
    case = Case(
        case_id=f"c{n}",
        source="test",
        patient=Patient(patient_key=f"p{n}"),
        split=SPLITS[n % 6],
        diagnoses=(LABELS[n % 3],),
    )
    if n % 9 == 8:
        return case
    volume = Volume(path="run:x.npy", shape=(1, 8, 8), dtype="float16", unit="unit_interval")
    studies = tuple(
        Study(
            study_uid=f"s{n}-{day}",
            study_date=f"2020-01-0{day}",
            modality="DX",
            series=(Series(series_uid=f"s{n}-{day}.1", volume=volume),),
        )
        for day in (2, 1)
    )
    reports = [
        record("radiology_report", n, ("findings", "impression"), study_uid=s.study_uid) for s in studies
    ]
    inputs = ("chief_complaint", "history_of_present_illness", "physical_examination")
    outputs = ("preliminary_diagnosis", "treatment_recommendation", "treatment_plan")
    records = [record("outpatient_record", n, inputs + outputs), *reports]
    if n % 4 == 0:
        first = (
            "auxiliary_examination",
            "clinical_history_features",
            "diagnostic_basis",
            "admission_diagnosis",
        )
        records.append(
            record("first_course_record", n, (*inputs[1:], *first, "diagnostic_and_treatment_plan"))
        )
    return case.model_copy(update={"studies": studies, "records": tuple(records)})


def write_curate(root: Path, count: int = 36, shard: int = 10) -> list[Case]:
    cases = [made_case(n) for n in range(count)]
    writer = FolderWriter(verb_folder(root, "curate"), "curate", Section(), [])
    for n, start in enumerate(range(0, count, shard)):
        part = cases[start : start + shard]
        writer.write(n, part, Case, entered={"case": len(part)})
    writer.finish()
    return cases


def stem(root: Path, name: str) -> list[Conversation]:
    return list(read_items(verb_folder(root, "mix"), Conversation, name))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_made_is_drawn_and_left_and_the_files_hold_what_was_drawn(tmp_path):
    write_curate(tmp_path)
    manifest = run(CONFIG, tmp_path)
    for stage, tasks in manifest.notes["stages"].items():
        held = stem(tmp_path, stage)
        for task, n in tasks.items():
            assert n["made"] == n["drawn"] + n["left"]
            assert sum(c.task == task for c in held) == n["drawn"]
        assert len(held) == len({c.conversation_id for c in held}) == sum(n["drawn"] for n in tasks.values())
    assert manifest.counts["case"].entered == 36
    assert manifest.rejected_reasons == {"case": {"no_task_fits": 4}}
    stage2 = manifest.notes["stages"]["stage2"]
    assert stage2["outpatient_record"]["drawn"] == stage2["first_course_record"]["drawn"] > 0


def test_held_out_patients_are_in_no_stage(tmp_path):
    cases = write_curate(tmp_path)
    run(CONFIG, tmp_path)
    split_of = {c.patient.patient_key: c.split for c in cases}
    for name, split in (("stage1", "train"), ("stage2", "train"), ("val", "val"), ("bench", "bench")):
        found = stem(tmp_path, name)
        assert found and {split_of[c.patient_key] for c in found} == {split}
    assert {c.task for c in stem(tmp_path, "bench")} == {"xray_report", "outpatient_record"}


def test_two_films_are_one_conversation_of_two_rounds_oldest_first(tmp_path):
    write_curate(tmp_path)
    run(CONFIG, tmp_path)
    film = next(c for c in stem(tmp_path, "stage1") if c.task == "xray_report")
    assert [t.role for t in film.turns] == ["user", "assistant"] * 2
    assert "2020年1月1日" in film.turns[0].text and "2020年1月2日" in film.turns[2].text


def test_bench_tasks_and_languages(tmp_path):
    write_curate(tmp_path)
    update = {"bench_tasks": ("outpatient_record",), "languages": ("zh", "en")}
    run(CONFIG.model_copy(update=update), tmp_path)
    bench = stem(tmp_path, "bench")
    assert {(c.task, c.language) for c in bench} == {("outpatient_record", "zh"), ("outpatient_record", "en")}
    assert len({c.conversation_id for c in bench}) == len(bench)


KILLED = """
import os, signal, sys
from pathlib import Path
from p2med.mix.config import MixConfig
from p2med.mix.run import run
left, replace = int(sys.argv[2]), os.replace
def counted(*args):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*args)
os.replace = counted
run(MixConfig.model_validate_json(sys.argv[3]), Path(sys.argv[1]))
"""


def test_a_killed_run_continues_and_ends_byte_identical(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        write_curate(root)
    run(CONFIG, whole)
    codes = []
    for writes in (1, 6, 9, 12, 1000):
        command = [sys.executable, "-c", KILLED, str(killed), str(writes), CONFIG.model_dump_json()]
        codes.append(subprocess.run(command, capture_output=True).returncode)
    assert codes == [-9, -9, -9, -9, 0]
    assert contents(verb_folder(killed, "mix")) == contents(verb_folder(whole, "mix"))


def test_an_unknown_task_is_refused_with_the_names_that_exist(tmp_path):
    write_curate(tmp_path)
    with pytest.raises(RecipeError, match="there are: .*xray_report"):
        run(MixConfig(stages={"stage1": {"xray": SamplerConfig()}}), tmp_path)


@pytest.mark.parametrize("name", ["bench", "val", "stage-1", "a/b", ""])
def test_a_stage_that_cannot_name_a_file_is_refused(name):
    with pytest.raises(ValidationError):
        MixConfig(stages={name: {}})


BENCHMARK = BenchmarkConfig(
    tasks={"xray_report": BenchmarkTask(rounds=4), "outpatient_record": BenchmarkTask(single=2)}
)


def test_the_benchmark_holds_the_chosen_items_and_a_review_is_replayed(tmp_path):
    write_curate(tmp_path)
    config = CONFIG.model_copy(update={"benchmark": BENCHMARK})
    notes = run(config, tmp_path).notes["benchmark"]
    first = stem(tmp_path, "bench")
    assert notes["xray_report"]["rounds"] == 4 and notes["outpatient_record"]["single"] == 2
    assert len(first) == 4
    records = [c.conversation_id for c in first if c.task == "outpatient_record"]
    review = {records[0]: {"verdict": "reject"}, records[1]: {"verdict": "edit", "answers": ["[初步诊断]改"]}}
    (tmp_path / "review.json").write_text(json.dumps({"decisions": review}))
    reviewed = BENCHMARK.model_copy(update={"decisions": "run:review.json"})
    run(CONFIG.model_copy(update={"benchmark": reviewed}), tmp_path)
    second = {c.conversation_id: c for c in stem(tmp_path, "bench") if c.task == "outpatient_record"}
    assert len(second) == 2 and records[0] not in second
    assert second[records[1]].turns[-1].text == "[初步诊断]改"


def test_several_processes_write_what_one_writes(tmp_path):
    folders = []
    for count in (1, 2):
        write_curate(tmp_path / str(count), shard=4)
        run(CONFIG.model_copy(update={"workers": count, "benchmark": BENCHMARK}), tmp_path / str(count))
        folders.append(contents(verb_folder(tmp_path / str(count), "mix")))
        folders[-1].pop("manifest.json")  # it records the number of workers
    assert folders[0] == folders[1]


def test_the_manifest_says_how_uneven_the_diseases_were_and_are(tmp_path):
    write_curate(tmp_path)
    manifest = run(CONFIG, tmp_path)
    for tasks in manifest.notes["stages"].values():
        for note in tasks.values():
            assert {"before", "after"} == set(note["imbalance"]) == set(note["effective"])
            assert note["effective"]["after"] <= len(note["diseases"]) or not note["diseases"]


@pytest.mark.parametrize("kind", ["patient", "content", "id"])
def test_a_benchmark_item_in_training_is_refused(tmp_path, kind):
    cases = [made_case(n) for n in range(12)]
    held = next(c for c in cases if c.split == "bench")
    fresh = made_case(6)
    record = {
        "patient": fresh.records[0],
        "content": held.records[0].model_copy(update={"record_id": "another"}),
        "id": fresh.records[0].model_copy(update={"record_id": held.records[0].record_id}),
    }[kind]
    patient = held.patient if kind == "patient" else fresh.patient
    planted = {
        "case_id": "planted",
        "patient": patient,
        "records": (record,),
        "studies": (),
        "split": "train",
    }
    cases.append(fresh.model_copy(update=planted))
    writer = FolderWriter(verb_folder(tmp_path, "curate"), "curate", Section(), [])
    writer.write(0, cases, Case, entered={"case": len(cases)})
    writer.finish()
    with pytest.raises(P2MedError, match=f"1 by {kind}"):
        run(CONFIG, tmp_path)
    assert not (verb_folder(tmp_path, "mix") / "manifest.json").exists()
