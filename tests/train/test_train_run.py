"""The verb: what learns, what is skipped, what a kill at any time leaves."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from tiny_training import SPEC, tiny_section, two_stages, write_mix

from p2med import store
from p2med.errors import ModelError, P2MedError, RecipeError
from p2med.model import checkpoint
from p2med.model.build import build, build_tokenizer
from p2med.model.checkpoint import load_checkpoint
from p2med.schema.conversation import Conversation
from p2med.train import resume
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import prepare_examples
from p2med.train.freeze import learn_only
from p2med.train.loop import Loop
from p2med.train.objectives import sft
from p2med.train.run import run


def content(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run folder that was trained without interruption."""
    root = tmp_path_factory.mktemp("whole")
    write_mix(root, ("base", "stage1"), count=36)
    run(two_stages(), tiny_section(), SPEC, root)
    return root


def test_stages_continue_and_only_what_learns_changes(whole):
    base = load_checkpoint(whole / "5_train/base").model.state_dict()
    after = load_checkpoint(whole / "5_train/stage1").model.state_dict()
    changed = {n.replace(".base_layer", "") for n, t in after.items() if not torch.equal(t, base.get(
        n.replace(".base_layer", ""), torch.zeros(0)))}  # fmt: skip
    assert any(n.startswith("connector.") for n in changed)
    assert {n.split(".")[0] for n in changed} == {"connector", "language_model"}
    assert all(".lora_" in n for n in changed if n.startswith("language_model."))


def test_the_manifest_counts_and_names_what_was_made(whole):
    manifest = store.read_manifest(whole / "5_train")
    assert manifest.counts["conversation_base"].entered == 36
    assert manifest.notes["stage1"]["steps"] == 6
    assert json.loads((whole / "5_train/stages.json").read_text()) == ["base", "stage1"]
    lines = [json.loads(x) for x in (whole / "5_train/base/losses.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines] == list(range(8))
    assert list((whole / "log/tensorboard/base").iterdir())


def test_what_is_up_to_date_is_not_trained_again(whole, capsys):
    before = content(whole / "5_train")
    run(two_stages(), tiny_section(), SPEC, whole)
    assert content(whole / "5_train") == before
    assert capsys.readouterr().err.count("up to date") == 2


def test_a_changed_mix_or_section_trains_again(whole, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(whole, root)
    config = two_stages()
    second = config.stages[1].model_copy(update={"lr": 5e-4})
    changed = config.model_copy(update={"stages": (config.stages[0], second)})
    before = content(root / "5_train")
    run(changed, tiny_section(), SPEC, root)
    after = content(root / "5_train")
    assert after["base/model.safetensors"] == before["base/model.safetensors"]
    assert after["stage1/model.safetensors"] != before["stage1/model.safetensors"]


def test_one_stage_alone_needs_the_one_before(mixed):
    root, _ = mixed
    with pytest.raises(ModelError, match="stage stage1 continues base"):
        run(two_stages(), tiny_section(), SPEC, root, stage="stage1")
    run(two_stages(), tiny_section(), SPEC, root, stage="base")
    assert not (root / "5_train/stage1").exists()
    run(two_stages(), tiny_section(), SPEC, root, stage="stage1")
    assert (root / "5_train/stage1/digests.json").exists()


def test_a_stage_that_begins_anew_is_as_if_it_stood_first(whole, tmp_path):
    config = two_stages()
    first = config.stages[0]
    anew = first.model_copy(update={"stage": "stage1", "anew": True})
    write_mix(tmp_path / "two", ("base", "stage1"), count=36)
    shutil.copytree(tmp_path / "two", tmp_path / "alone")
    run(config.model_copy(update={"stages": (first, anew)}), tiny_section(), SPEC, tmp_path / "two")
    run(
        config.model_copy(update={"stages": (first, anew)}),
        tiny_section(),
        SPEC,
        tmp_path / "alone",
        "stage1",
    )
    assert not (tmp_path / "alone/5_train/base").exists()
    both = content(tmp_path / "two/5_train")
    assert both["stage1/model.safetensors"] == content(tmp_path / "alone/5_train")["stage1/model.safetensors"]
    assert both["stage1/model.safetensors"] == both["base/model.safetensors"]
    continued = content(whole / "5_train")
    assert both["stage1/model.safetensors"] != continued["stage1/model.safetensors"]


def test_the_first_of_three_stages_can_be_trained_alone(mixed):
    root, _ = mixed
    config = two_stages()
    third = config.stages[1].model_copy(update={"stage": "stage2"})
    three = config.model_copy(update={"stages": (*config.stages, third)})
    run(three, tiny_section(), SPEC, root, stage="base")
    assert [p.name for p in sorted((root / "5_train").glob("*/"))] == ["base"]
    fourth = config.stages[0].model_copy(update={"stage": "stage1", "anew": True})
    behind = config.model_copy(update={"stages": (config.stages[0], third, fourth)})
    run(behind, tiny_section(), SPEC, root, stage="stage1")  # stage2, never trained, is nothing to it
    assert [p.name for p in sorted((root / "5_train").glob("*/"))] == ["base", "stage1"]


MOMENTS = (
    ".base.steps/step-00000002/digests.json",
    ".base.steps/.step-00000006.writing",
    ".base.writing",
    ".stage1.steps/step-00000002",
    ".stage1.writing/config.json",
)


def run_until(moment: str, root: Path) -> None:
    """Train, and be killed at the first sync after `moment` is there."""
    synced = checkpoint._sync

    def sync(path: Path) -> None:
        synced(path)
        if (root / "5_train" / moment).exists():
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint._sync = sync
    run(two_stages(), tiny_section(), SPEC, root)


def test_killed_at_any_time_and_started_again_it_ends_with_the_same_bytes(whole, mixed):
    root, _ = mixed
    for moment in MOMENTS:
        # A fork, not a new interpreter: importing torch five times would be most of this test.
        process = multiprocessing.get_context("fork").Process(target=run_until, args=(moment, root))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, moment
    run(two_stages(), tiny_section(), SPEC, root)
    assert content(root / "5_train") == content(whole / "5_train")


def test_killed_inside_a_save_it_continues_from_the_one_before(whole, mixed, monkeypatch):
    root, _ = mixed
    from_save = stop_in_a_save(monkeypatch, at_call=3)
    with pytest.raises(KeyboardInterrupt):
        run(two_stages(), tiny_section(), SPEC, root)
    monkeypatch.undo()
    assert from_save["calls"] == 3
    run(two_stages(), tiny_section(), SPEC, root)
    assert content(root / "5_train") == content(whole / "5_train")


def stop_in_a_save(monkeypatch, at_call: int) -> dict[str, int]:
    """Stop in the middle of the n-th save of a checkpoint: the weights are there, the seal is not."""
    seen = {"calls": 0}
    real = resume.seal

    def seal(folder: Path) -> None:
        seen["calls"] += 1
        if seen["calls"] == at_call:
            raise KeyboardInterrupt
        real(folder)

    monkeypatch.setattr("p2med.train.resume.seal", seal)
    return seen


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(whole, mixed, monkeypatch, capsys):
    root, _ = mixed
    stop_in_a_save(monkeypatch, at_call=3)
    with pytest.raises(KeyboardInterrupt):
        run(two_stages(), tiny_section(), SPEC, root)
    monkeypatch.undo()
    saves = sorted((root / "5_train/.base.steps").glob("step-*"))
    assert [p.name for p in saves] == ["step-00000002", "step-00000004"]
    weights = saves[-1] / "state.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    run(two_stages(), tiny_section(), SPEC, root)
    said = capsys.readouterr().err
    assert "step-00000004 is damaged" in said and "continues after step 2" in said
    assert content(root / "5_train") == content(whole / "5_train")


# ---------------------------------------------------------------- the loop


def make_loop(root: Path, tmp: Path, loss=sft.loss, **changes) -> Loop:
    stage = StageConfig(**{
        "stage": "base", "learn": ("encoder", "connector", "llm"), "lr": 1e-3, "steps": 3, "batch_size": 8,
        **changes,
    })  # fmt: skip
    conversations = list(store.read_items(root / "4_mix", Conversation, stem="base"))
    texts = [t.text for c in conversations for t in c.turns]
    section = tiny_section()
    tokenizer_model = tokenizer_of(texts)
    model, processor = build(section, SPEC, tokenizer_model)
    examples, _ = prepare_examples(conversations, processor, 160, True, {})
    learn_only(model, stage.learn, heads=False)
    batcher = Batcher(
        model, lambda v: store.read_volume(v.path, root), 3, "encoder" not in stage.learn, None, 1e9,
        torch.device("cpu"),
    )  # fmt: skip
    return Loop(model, examples, stage, loss, batcher, tmp / "log")


def tokenizer_of(texts: list[str]) -> bytes:
    return build_tokenizer(tiny_section(), texts)


def test_eight_times_one_learns_like_one_times_eight(mixed, tmp_path):
    root, _ = mixed
    together, apart = make_loop(root, tmp_path), make_loop(root, tmp_path, micro_batch_size=1)
    a = together.run(tmp_path / "a", {})
    b = apart.run(tmp_path / "b", {})
    for x, y in zip(a.losses, b.losses, strict=True):
        assert x["loss"] == pytest.approx(y["loss"], rel=1e-4)
    for (name, p), q in zip(together.learning.items(), apart.learning.values(), strict=True):
        assert torch.allclose(p, q, atol=2e-4), name


def test_the_loss_falls_on_what_can_be_learned(mixed, tmp_path):
    progress = make_loop(mixed[0], tmp_path, steps=60, lr=3e-3).run(tmp_path / "a", {})
    losses = [x["loss"] for x in progress.losses]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_broken_step_is_left_out_and_counted(mixed, tmp_path):
    calls = {"n": 0}

    def sometimes_nan(model, batch):
        calls["n"] += 1
        value = sft.loss(model, batch)
        return value * float("nan") if calls["n"] == 2 else value

    loop = make_loop(mixed[0], tmp_path, loss=sometimes_nan)
    progress = loop.run(tmp_path / "a", {})
    assert progress.skipped == 1 and progress.losses[1]["loss"] is None
    assert all(torch.isfinite(p).all() for p in loop.learning.values())
    assert any(loop.optimizer.state.values())


def test_a_frozen_encoders_features_are_kept_and_equal(mixed, tmp_path):
    loop = make_loop(mixed[0], tmp_path, learn=("connector",))
    films = [e for e in loop.examples if e.group[0] == "volume"][:2]
    first, again = loop.batcher.batch(films, films), loop.batcher.batch(films, films)
    assert first.pixel_values is None and torch.equal(first.features, again.features)
    loop.batcher._cache.clear()
    loop.batcher._room = 0
    assert torch.equal(loop.batcher.batch(films, films).features, first.features)
    assert not loop.batcher._cache


# ---------------------------------------------------------------- refusals


def test_without_a_mix_it_says_what_to_run(tmp_path):
    with pytest.raises(P2MedError, match="run `p2med mix`"):
        run(two_stages(), tiny_section(), SPEC, tmp_path)


def test_a_part_that_the_model_lacks_is_refused(mixed):
    section = tiny_section().model_copy(update={"adapter": None})
    with pytest.raises(RecipeError, match="learns an adapter"):
        run(two_stages(), section, SPEC, mixed[0])


def test_a_kill_during_the_very_first_write_is_not_someone_elses_folder(mixed):
    root, _ = mixed
    first = root / "5_train" / ("stages.json" + store.TEMPORARY_SUFFIX)
    first.parent.mkdir()
    first.write_text('["ba')
    run(two_stages(), tiny_section(), SPEC, root)
    assert (root / "5_train" / "manifest.json").exists() and not first.exists()


def test_a_folder_of_someone_else_is_not_touched(mixed):
    root, _ = mixed
    (root / "5_train").mkdir()
    (root / "5_train/thesis.doc").write_text("mine")
    with pytest.raises(ModelError, match="did not write"):
        run(two_stages(), tiny_section(), SPEC, root)


def test_what_cannot_be_learned_from_is_counted_with_its_reason(mixed):
    root, conversations = mixed
    _, processor = build(tiny_section(), SPEC, tokenizer_of([t.text for c in conversations for t in c.turns]))
    for arguments, reasons in (
        ((12, True, {}), {"longer_than_the_model"}),
        ((160, False, {}), {"text_for_image_parts_only"}),
        ((160, True, {"ct_report": 0.0}), {"task_weight_0"}),
    ):
        examples, rejected = prepare_examples(conversations, processor, *arguments)
        assert len(examples) + len(rejected) == 36 and {r.reason for r in rejected} == reasons
