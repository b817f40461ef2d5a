"""From pretrained folders to a checkpoint; what `doctor` says of each kind of folder."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CLIPVisionConfig, CLIPVisionModel, LlamaConfig

from p2med.errors import ModelError
from p2med.model.assemble import assemble
from p2med.model.checkpoint import load_checkpoint
from p2med.model.doctor import encoder_kind, look
from p2med.model.generate import Generator
from p2med.model.tokenizer import open_tokenizer


@pytest.fixture
def folders(tokenizer_model, tmp_path):
    torch.manual_seed(0)
    rows = len(open_tokenizer(tokenizer_model)) - 1  # a tokenizer of its own has no <image>
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    llm = AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=rows, max_position_embeddings=128, **shape))
    llm.save_pretrained(tmp_path / "llm")
    (tmp_path / "llm" / "tokenizer.model").write_bytes(tokenizer_model)
    shape |= {"hidden_size": 16, "num_attention_heads": 2}
    CLIPVisionModel(CLIPVisionConfig(**shape, patch_size=8, image_size=32)).save_pretrained(tmp_path / "clip")
    return tmp_path / "llm", tmp_path / "clip", llm


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_checkpoint_of_two_folders_answers_with_their_weights(folders, tmp_path, hospital, dtype):
    llm, clip, pretrained = folders
    out = tmp_path / "checkpoint"
    count = assemble(llm, clip, out, image_size=32, connector="linear", dtype=dtype)
    checkpoint = load_checkpoint(out)
    assert count == sum(p.numel() for p in checkpoint.model.parameters())
    inside = checkpoint.model.language_model.model.layers[1].mlp.up_proj.weight
    assert inside.dtype == getattr(torch, dtype)
    assert torch.equal(inside.float(), pretrained.model.layers[1].mlp.up_proj.weight.to(inside.dtype).float())
    assert checkpoint.stage["made_of"]["llm"]["kind"] == "language model, llama"
    question = hospital.ask("写报告。", hospital.volume(1))
    one, again = (
        Generator(load_checkpoint(out), torch.device("cpu")).answer([question], hospital.pixels_of, 6)
        for _ in range(2)
    )
    assert one == again
    with pytest.raises(ModelError, match="there already"):
        assemble(llm, clip, out, image_size=32)


def test_an_unfit_folder_leaves_nothing_behind(folders, tmp_path):
    llm, clip, _ = folders
    tensors = load_file(clip / "model.safetensors")
    tensors.pop(next(n for n in tensors if n.endswith("layers.0.mlp.fc1.bias")))
    save_file(tensors, clip / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks the tensor encoder\.layers\.0\.mlp\.fc1\.bias"):
        assemble(llm, clip, tmp_path / "out", image_size=32)
    assert not (tmp_path / "out").exists()
    assert any("layers.0.mlp.fc1.bias" in f for f in look(clip).faults)


def test_doctor_names_what_a_folder_is(folders, tmp_path):
    llm, clip, pretrained = folders
    found = look(llm)
    assert found.kind == "language model, llama" and not found.faults
    assert found.parameters == sum(p.numel() for p in pretrained.parameters())
    assert look(clip).kind == "vision tower, clip_vit" and not look(clip).faults
    assemble(llm, clip, tmp_path / "c", image_size=32)
    assert look(tmp_path / "c").kind == "P2Med checkpoint" and not look(tmp_path / "c").faults


def test_doctor_names_what_cannot_be_used(folders, tmp_path):
    llm, _, _ = folders
    config = json.loads((llm / "config.json").read_bytes())
    (llm / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    assert "quantised (gptq)" in look(llm).faults[0]
    (llm / "config.json").write_text(json.dumps(config | {"intermediate_size": 65}))
    assert "this model needs" in look(llm).faults[0]
    (llm / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    assert "type gpt2" in look(llm).faults[0]
    with pytest.raises(ModelError, match="vision towers read are"):
        encoder_kind(llm)
    (llm / "adapter_config.json").write_text('{"base_model_name_or_path": "base"}')
    assert "merge it into its base" in look(llm).faults[0]
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "model.gguf").touch()
    assert look(tmp_path / "g").kind == "GGUF"
    with pytest.raises(ModelError, match="no such folder"):
        look(tmp_path / "nothing")


def test_a_damaged_checkpoint_is_a_fault(folders, tmp_path):
    assemble(folders[0], folders[1], tmp_path / "c", image_size=32)
    path = tmp_path / "c" / "model.safetensors"
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
    content[-5] ^= 1
    path.write_bytes(content.tobytes())
    assert "sha256 differs" in look(tmp_path / "c").faults[0]
