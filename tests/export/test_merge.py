"""LoRA folded into the weights: the same answers, one tensor at a time, whole or not at all."""

import json
import shutil

import pytest
import torch
from export_maker import damage, pixels_of, questions, write_lora
from safetensors import safe_open

from p2med.errors import ModelError
from p2med.export.write import export
from p2med.model import merge as merging
from p2med.model import tensor_file
from p2med.model.checkpoint import load_checkpoint
from p2med.model.doctor import look
from p2med.model.generate import Generator
from p2med.model.merge import merge
from p2med.model.weights import TensorFiles


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_merged_weights_are_those_that_answering_uses(tmp_path, dtype):
    write_lora(tmp_path / "lora", dtype)
    assert merge(tmp_path / "lora", tmp_path / "merged") == 14
    used = Generator.load(tmp_path / "lora", "cpu").model.state_dict()
    files = TensorFiles(tmp_path / "merged")
    assert not [n for n in files if "lora" in n or "base_layer" in n]
    for name in files:
        source = name if name in used else name.replace("_proj.", "_proj.base_layer.")
        assert torch.equal(files[name], used[source]), name
        assert files[name].dtype == used[source].dtype


def test_the_merged_checkpoint_answers_token_for_token(lora, merged):
    before, after = Generator.load(lora, "cpu"), Generator.load(merged, "cpu")
    asked = questions(60)
    said = before.answer(asked, pixels_of, max_new_tokens=12)
    assert after.answer(asked, pixels_of, max_new_tokens=12) == said
    assert len(set(said)) > 20
    assert after.model.config.adapter is None


def test_float32_arithmetic_whatever_is_stored(tmp_path):
    """A delta far below bfloat16's step must not be lost before the sum is rounded."""
    write_lora(tmp_path / "lora", torch.bfloat16)
    merge(tmp_path / "lora", tmp_path / "merged", dtype="float32")
    name = "language_model.model.layers.1.mlp.up_proj"
    before, after = TensorFiles(tmp_path / "lora"), TensorFiles(tmp_path / "merged")
    low, high = (before[f"{name}.lora_{x}.default.weight"].double() for x in "AB")
    delta = high @ low
    wanted = before[f"{name}.base_layer.weight"].double() + 4 * delta  # alpha 8, rank 2
    assert after[f"{name}.weight"].dtype == torch.float32
    assert (after[f"{name}.weight"].double() - wanted).abs().max() < 1e-6
    assert after["encoder.stem.weight"].equal(before["encoder.stem.weight"])


def test_shards_hold_the_same_tensors_and_each_is_made_once(lora, merged, tmp_path, monkeypatch):
    made = []
    real = merging.Merged.__getitem__
    monkeypatch.setattr(merging.Merged, "__getitem__", lambda self, n: made.append(n) or real(self, n))
    merge(lora, tmp_path / "shards", shard_bytes=60_000)
    shards = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(shards) > 3 and max(p.stat().st_size for p in shards) < 120_000
    whole, parts = TensorFiles(merged), TensorFiles(tmp_path / "shards")
    assert sorted(made) == sorted(whole)
    assert all(whole[n].equal(parts[n]) for n in whole) and set(whole) == set(parts)
    assert load_checkpoint(tmp_path / "shards").model.config.adapter is None


def test_the_file_is_what_safetensors_expects(merged):
    with safe_open(merged / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert torch.isfinite(file.get_tensor("language_model.lm_head.weight")).all()


def test_a_merged_checkpoint_is_one_as_any_other(merged):
    found = look(merged)
    assert found.kind == "P2Med checkpoint" and found.faults == ()
    stage = json.loads((merged / "stage.json").read_bytes())
    assert stage["stage"] == "stage3" and stage["merged"]["adapter"]["rank"] == 2


def test_what_is_no_lora_checkpoint_is_refused_by_name(lora, merged, exported, tmp_path):
    with pytest.raises(ModelError, match="no LoRA to merge: it is merged already"):
        merge(merged, tmp_path / "x")
    plain = write_lora(tmp_path / "plain", adapter=None)
    with pytest.raises(ModelError, match="no LoRA to merge: it was trained without"):
        merge(plain, tmp_path / "x")
    with pytest.raises(ModelError, match="is exported for an engine"):
        merge(exported["int8"], tmp_path / "x")
    with pytest.raises(ModelError, match="is no checkpoint"):
        merge(tmp_path, tmp_path / "x")
    with pytest.raises(ModelError, match="is there already"):
        merge(lora, plain)
    assert not (tmp_path / "x").exists()


def test_a_damaged_or_incomplete_checkpoint_is_refused_by_the_tensors_name(lora, tmp_path):
    shutil.copytree(lora, tmp_path / "bit")
    path = tmp_path / "bit" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match="sha256 differs"):
        merge(tmp_path / "bit", tmp_path / "out")
    name = "language_model.model.layers.1.mlp.down_proj.lora_B.default.weight"
    shutil.copytree(lora, tmp_path / "lost")
    damage(tmp_path / "lost", lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match=f"lacks the tensor {name}"):
        merge(tmp_path / "lost", tmp_path / "out")


@pytest.mark.parametrize("work", [merge, lambda source, out: export(source, out, "int4")])
def test_what_is_cut_short_leaves_nothing_and_the_next_run_is_whole(lora, tmp_path, monkeypatch, work):
    real, count = tensor_file.write_file, []

    def full_disk(path, plan, make):
        count.append(path)
        real(path, plan, make)
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(tensor_file, "write_file", full_disk)
    with pytest.raises(OSError):
        work(lora, tmp_path / "out")
    assert count and list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    (tmp_path / ".out.writing").mkdir()  # what a kill leaves
    (tmp_path / ".out.writing" / "half").write_bytes(b"x")
    work(lora, tmp_path / "out")
    work(lora, tmp_path / "again")
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
    assert "half" not in contents(tmp_path / "out")
