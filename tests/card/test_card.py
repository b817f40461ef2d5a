"""The model card: what it says follows from the run alone, byte for byte, and never from changed files."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from small_run import write_manifest, write_run
from typer.testing import CliRunner

from p2med.card.training import write_training_page
from p2med.card.write import write_card
from p2med.cli import app
from p2med.errors import P2MedError
from p2med.store import sha256_of, verb_folder, write_json, write_text

RESULT = {"task": "xray_report", "component": "impression", "metric": "disease_f1", "n": 9, "unrated": 0}
RESULT |= {"condition": "true", "mean": 0.5, "ci95_low": 0.4, "ci95_high": 0.6}


@pytest.fixture()
def trained(tmp_path: Path) -> Path:
    return write_run(tmp_path / "small")


def read(root: Path, **options) -> tuple[str, dict]:
    markdown, plain = write_card(root, **options)
    return markdown.read_text(encoding="utf-8"), json.loads(plain.read_text(encoding="utf-8"))


def header(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def digest(root: Path, stage: str = "stage1") -> str:
    return sha256_of(root / "5_train" / stage / "digests.json")


def benched(root: Path, of: str, **config) -> None:
    folder = verb_folder(root, "bench")
    write_json(folder / "results.json", [RESULT])
    files = {"results.json": sha256_of(folder / "results.json")}
    section = {"checkpoint": "stage1", "checkpoint_digest": of, "config": config}
    write_manifest(root, "bench", ["mix"], files=files, section=section)


# ---------------------------------------------------------------- what it says


def test_it_says_what_the_run_was_in_chinese_first_then_in_english(trained):
    text, facts = read(trained)
    assert text.index("# 模型卡 · small") < text.index("# Model card · small")
    assert "没有任何临床质量" in text.split("## ")[1] and "It has no clinical quality" in text
    assert facts["checkpoint"]["parameters"] == {"adapter": 5, "encoder": 6, "language_model": 40}
    assert facts["data"]["mix"]["manifest_sha256"] == sha256_of(trained / "4_mix/manifest.json")
    assert facts["data"]["curate"]["splits"]["patients"] == {"bench": 3, "train": 5}
    assert [s["stage"] for s in facts["stages"]] == ["base", "stage1"]
    stage = facts["stages"][1]
    assert stage["drawn"] == {"xray_report": 12} and stage["tokens"] == 300
    assert (stage["loss_begin"], stage["skipped_steps"]) == (2.0, 1)
    assert "In 2 steps of the training the loss was no finite number" in text and "nan" not in text.lower()
    for sha in (facts["data"]["mix"]["manifest_sha256"], stage["digests_sha256"]):
        assert sha in text
    assert [p["part"] for p in facts["licences"]] == ["llm", "encoder", "connector", "tokenizer", "synth"]
    assert facts["refused"]["clinical"] and not facts["refused"]["commercial"]


def test_the_header_is_what_hugging_face_reads(trained):
    benched(trained, digest(trained))
    found = header(read(trained)[0])
    assert found["language"] == ["zh"] and found["license"] == "other" and "license_name" in found
    assert found["pipeline_tag"] == "image-text-to-text" and "not-for-clinical-use" in found["tags"]
    (result,) = found["model-index"][0]["results"]
    assert result["task"]["name"] == "xray_report" and result["metrics"][0]["value"] == 0.5


def test_one_licence_of_all_parts_is_the_models(tmp_path):
    text, facts = read(write_run(tmp_path / "films", source={"kind": "kermany"}))
    assert header(text)["license"] == "cc-by-4.0" and header(text)["datasets"] == [
        "kermany_pediatric_cxr_224"
    ]
    assert not any("invented" in w["en"] for w in facts["warnings"])
    assert any("tiny" in w["en"] for w in facts["warnings"])


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(trained, tmp_path):
    first = [p.read_bytes() for p in write_card(trained)]
    copy = tmp_path / "elsewhere" / "small"
    shutil.copytree(trained, copy)
    assert (
        [p.read_bytes() for p in write_card(copy)] == first == [p.read_bytes() for p in write_card(trained)]
    )
    assert str(tmp_path).encode() not in b"".join(first)


def test_scores_and_gate_stand_there_when_they_are_of_this_checkpoint(trained):
    assert "This checkpoint was not benchmarked" in read(trained)[0]
    benched(trained, digest(trained))
    passing = {
        "name": "swapped",
        "pairs": 9,
        "gain": 0.4,
        "low": 0.2,
        "high": 0.6,
        "fault": "",
        "passed": True,
    }
    gate = {"checkpoint_digest": digest(trained), "limit": 100, "conditions": [passing]}
    write_json(trained / "gate.json", gate)
    text, facts = read(trained)
    assert "0.500 [0.400, 0.600]" in text and "0.400 [0.200, 0.600]" in text and facts["scores"]
    assert not any("gate" in w["en"] for w in facts["warnings"])
    write_json(trained / "gate.json", gate | {"conditions": [passing | {"passed": False, "fault": "x"}]})
    assert any("gate failed" in w["en"] for w in read(trained)[1]["warnings"])


def test_scores_and_gate_of_another_checkpoint_are_not_shown(trained):
    benched(trained, digest(trained, "base").replace("0", "1"))
    write_json(trained / "gate.json", {"checkpoint_digest": "of another", "conditions": []})
    text, facts = read(trained)
    assert facts["scores"] is None and facts["gate"] is None and "0.500" not in text


@pytest.mark.parametrize("config", [{"members": ["base"]}, {"readings": 5}])
def test_scores_of_several_that_answered_together_are_not_this_checkpoints(trained, config):
    benched(trained, digest(trained), **config)
    text, facts = read(trained)
    assert facts["scores"] is None and "0.500" not in text


def test_scores_that_read_another_mix_are_not_shown(trained):
    benched(trained, digest(trained))
    manifest = json.loads((trained / "6_bench/manifest.json").read_text())
    write_json(trained / "6_bench/manifest.json", manifest | {"inputs": {"mix": "of another day"}})
    assert read(trained)[1]["scores"] is None


def test_a_certificate_is_named_and_one_of_another_state_is_said_to_be_so(trained):
    manifests = {v: sha256_of(verb_folder(trained, v) / "manifest.json") for v in ("ingest", "deid")}
    found = {"planted": 900, "leaked": 0, "key_id": "k", "manifests": manifests}
    write_json(trained / "certificate" / "certificate.json", found)
    identity = sha256_of(trained / "certificate" / "certificate.json")[:16]
    assert f"Certificate of de-identification {identity}, 900 planted, 0 leaked" in read(trained)[0]
    write_json(trained / "certificate" / "certificate.json", found | {"manifests": {"deid": "another"}})
    assert "is not about this run" in read(trained)[0]


def test_a_run_whose_training_kept_no_licences_is_judged_by_its_manifests(tmp_path):
    text, facts = read(write_run(tmp_path / "old", record=False))
    assert "It has no clinical quality" in text and facts["refused"]["clinical"]


def test_a_checkpoint_alone_still_knows_its_parts(trained, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(trained / "5_train" / "stage1", alone)
    text, facts = read(alone, out=tmp_path / "card")
    assert "No manifests of data lie beside this checkpoint" in text and facts["data"] == {}
    assert "It has no clinical quality" in text and facts["refused"]["clinical"]
    inside = read(trained / "5_train" / "base", out=tmp_path / "base")[1]
    assert [s["stage"] for s in inside["stages"]] == ["base"] and inside["name"] == "small"


def test_a_checkpoint_that_says_nothing_of_its_parts_allows_research_only(tmp_path):
    root = write_run(tmp_path / "old", record=False)
    shutil.move(root / "5_train" / "stage1", tmp_path / "alone")
    facts = read(tmp_path / "alone", out=tmp_path / "card")[1]
    assert facts["refused"]["commercial"] and not facts["refused"]["research"]


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    "file, words",
    [
        ("4_mix/manifest.json", "is not the one that train has read"),
        ("5_train/stage1/model.safetensors", "is not the file that training wrote"),
        ("5_train/stage1/losses.jsonl", "is not the file that training wrote"),
        ("5_train/base/digests.json", "is not the file that train wrote"),
        ("6_bench/results.json", "is not the file that bench wrote"),
    ],
)
def test_a_changed_file_makes_no_card(trained, file, words):
    benched(trained, digest(trained))
    path = trained / file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(P2MedError, match=words):
        write_card(trained)
    assert not (trained / "model_card.md").exists()


def test_a_use_that_a_part_forbids_makes_no_card(trained):
    done = CliRunner().invoke(app, ["card", str(trained), "--for", "clinical"])
    assert isinstance(done.exception, P2MedError) and "synth (synthetic hospital)" in str(done.exception)
    assert not (trained / "model_card.md").exists()
    assert CliRunner().invoke(app, ["card", str(trained), "--for", "commercial"]).exit_code == 0
    assert CliRunner().invoke(app, ["card", str(trained), "--for", "fun"]).exit_code == 2


def test_a_run_that_was_never_trained_is_one_line(tmp_path):
    with pytest.raises(P2MedError, match="has no finished training"):
        write_card(tmp_path)


# ---------------------------------------------------------------- the page of curves


def log(root: Path, lines: list[dict], device: bool = True) -> None:
    seen = {"seconds": 0.5, "tokens_per_s": 200.0, "mfu": 0.25, "memory_gib": 1.0, "peak_memory_gib": 1.5}
    rows = [json.dumps(x | seen) for x in lines]
    write_text(root / "log" / "train_base.jsonl", "".join(r + "\n" for r in rows))
    if device:
        write_text(
            root / "log" / "train_base.device.json",
            json.dumps({"device": "cpu", "peak_flops_per_s": 1e9, "peak_source": "measured"}, indent=2),
        )


def step(n: int, loss: float | None, task: str = "xray_report") -> dict:
    return {"step": n, "kind": "film", "task": task, "loss": loss, "lr": 1e-3, "grad_norm": 1.0, "samples": 4,
            "tokens": 100, "learned_tokens": 30}  # fmt: skip


def test_the_page_draws_every_curve_and_counts_what_was_drawn(trained):
    log(trained, [step(n, 3.0 / (n + 1), ("xray_report", "ct_report")[n % 2]) for n in range(1000)])
    page = write_training_page(trained).read_text(encoding="utf-8")
    assert page.count("<svg") == 7 and page.count("<polyline") == 8
    assert "xray_report" in page and "2,000" in page and "MFU 0.250" in page and "峰值内存" in page
    longest = max(page.split('points="'), key=len)
    assert longest.split('"')[0].count(",") <= 240


def test_a_loss_that_is_no_number_leaves_no_trace_in_a_curve(trained):
    log(trained, [step(0, 2.0), step(1, None), step(2, 1.0)], device=False)
    page = write_training_page(trained).read_text(encoding="utf-8")
    assert "nan" not in page.lower().replace("finance", "") and "跳过 skipped 1" in page
    log(trained, [step(0, None)])
    assert "<svg" in write_training_page(trained).read_text(encoding="utf-8")


def test_without_a_log_there_is_no_page(trained):
    assert write_training_page(trained) is None
