"""A checkpoint is whole or refused, in one line that names what is wrong."""

import json
import resource
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

from p2med.errors import ModelError
from p2med.model.checkpoint import (
    check_seal,
    load_checkpoint,
    replace_folder,
    resolve_checkpoint,
    save_checkpoint,
    seal,
)
from p2med.model.weights import write_tensors


@pytest.fixture()
def saved(make, tokenizer_model, hospital, tmp_path):
    model, processor = make(adapter=True)
    folder = tmp_path / "5_train" / "stage1"
    save_checkpoint(folder, model, tokenizer_model, processor, hospital.spec, {"stage": "stage1"})
    return folder, model


def rewrite(folder, change):
    """Change the weights' file and sign it again: the strictness under test is that of the tensors."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "digests.json").unlink()
    seal(folder)


def test_a_round_trip_keeps_every_bit(saved, hospital):
    folder, model = saved
    again = load_checkpoint(folder)
    assert again.image_spec == hospital.spec and again.stage == {"stage": "stage1"}
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


def test_saving_twice_gives_the_same_bytes(saved, make, tokenizer_model, hospital, tmp_path):
    folder, _ = saved
    model, processor = make(adapter=True)
    save_checkpoint(tmp_path / "b", model, tokenizer_model, processor, hospital.spec, {"stage": "stage1"})
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: t.pop("connector.latents"), "lacks the tensor connector.latents"),
        (lambda t: t.update(extra=torch.zeros(2)), "tensor that this model lacks: extra"),
        (
            lambda t: t.update({"encoder.stem.weight": torch.zeros(3, 1, 5, 5)}),
            r"tensor encoder.stem.weight is \(3, 1, 5, 5\), this model needs \(8, 1, 5, 5\)",
        ),
    ],
)
def test_a_wrong_tensor_is_refused_by_name(saved, change, words):
    rewrite(saved[0], change)
    with pytest.raises(ModelError, match=words):
        load_checkpoint(saved[0])


def test_a_truncated_or_changed_file_is_refused(saved):
    folder, _ = saved
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for broken in (whole[:-100], whole[:-1] + bytes([whole[-1] ^ 1])):
        weights.write_bytes(broken)
        with pytest.raises(ModelError, match="model.safetensors is not the file that training wrote"):
            load_checkpoint(folder)
    weights.unlink()
    with pytest.raises(ModelError, match="lacks model.safetensors"):
        load_checkpoint(folder)


def test_a_cut_file_is_refused_even_when_signed(saved):
    folder, _ = saved
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    (folder / "digests.json").unlink()
    seal(folder)
    with pytest.raises(ModelError, match="cut short"):
        load_checkpoint(folder)


def test_every_message_is_one_line(saved):
    folder, _ = saved
    (folder / "config.json").write_text('{"model_type": "p2med", "connector": {"kind": "nothing"}, ')
    (folder / "digests.json").unlink()
    seal(folder)
    with pytest.raises(ModelError) as error:
        load_checkpoint(folder)
    assert "\n" not in str(error.value)


def test_a_stage_or_the_folder_of_stages_is_found(saved, tmp_path):
    folder, _ = saved
    train = folder.parent
    assert resolve_checkpoint(folder) == folder
    with pytest.raises(ModelError, match="neither config.json nor stages.json"):
        resolve_checkpoint(train)
    (train / "stages.json").write_text(json.dumps(["base", "stage1", "stage2"]))
    assert resolve_checkpoint(train) == folder
    shutil.copytree(folder, train / "stage2")
    assert resolve_checkpoint(train) == train / "stage2"
    shutil.rmtree(folder)
    shutil.rmtree(train / "stage2")
    with pytest.raises(ModelError, match="no finished stage"):
        resolve_checkpoint(train)


def test_an_older_folder_is_replaced_whole(tmp_path):
    for name, content in (("new", "2"), ("place", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(content)
        seal(tmp_path / name)
    replace_folder(tmp_path / "new", tmp_path / "place")
    assert (tmp_path / "place" / "file").read_text() == "2"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["place"]
    check_seal(tmp_path / "place")


def test_a_disk_that_refuses_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="cannot be written.*free some space") as error:
        write_tensors({"a": torch.zeros(9)}, tmp_path / "no_such_folder" / "model.safetensors")
    assert "\n" not in str(error.value)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    try:
        with pytest.raises((ModelError, OSError)):
            write_tensors({"a": torch.zeros(9000)}, tmp_path / "model.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
