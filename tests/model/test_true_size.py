"""The paper's 8B, without its memory: on `meta`, and as sparse files of the public layout."""

import json
import struct

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from p2med.imaging.spec import ImageSpec
from p2med.model.build import model_shape
from p2med.model.config import ModelSection
from p2med.model.doctor import look
from p2med.model.vlm import P2MedForConditionalGeneration

VOCABULARY = 55_296  # Chinese-LLaMA-2, spec section 2


def test_the_8b_has_the_papers_size():
    shape = model_shape(ModelSection(), ImageSpec(size=336, max_slices=128), VOCABULARY)
    with torch.device("meta"):
        model = P2MedForConditionalGeneration(shape)
    count = {
        "encoder": sum(p.numel() for p in model.encoder.parameters()),
        "connector": sum(p.numel() for p in model.connector.parameters()),
        "llm": sum(p.numel() for p in model.language_model.parameters()),
    }
    assert count["llm"] == 6_929_256_448  # LLaMA-2-7B with the enlarged vocabulary
    assert round(count["encoder"] / 1e9, 3) == 0.304
    # 8.089B is the count of the blocks alone; CLIP's 1,024 numbers must be brought to 4,096 before them.
    entrance = sum(p.numel() for p in model.connector.project.parameters())
    assert entrance == 1024 * 4096 + 4096
    assert round((sum(count.values()) - entrance) / 1e9, 3) == 8.089
    assert model.connector.latents.shape == (32, 4096)
    assert model.encoder.patches == 576


def sparse_folder(folder, edit=lambda shapes: None) -> int:
    """A LLaMA-2-7B folder in three shards, in which no number takes any space; logical bytes."""
    config = LlamaConfig(vocab_size=VOCABULARY)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    edit(shapes)
    folder.mkdir()
    config.save_pretrained(folder)
    names = sorted(shapes)
    where, total = {}, 0
    for n in range(3):
        file = f"model-{n + 1:05d}-of-00003.safetensors"
        header, offset = {}, 0
        for name in names[n::3]:
            size = 2 * torch.Size(shapes[name]).numel()
            header[name] = {"dtype": "BF16", "shape": shapes[name], "data_offsets": [offset, offset + size]}
            offset += size
            where[name] = file
        words = json.dumps(header).encode()
        words += b" " * (-len(words) % 8)
        with open(folder / file, "wb") as out:
            out.write(struct.pack("<Q", len(words)) + words)
            out.truncate(8 + len(words) + offset)
        total += offset
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def test_doctor_reads_a_sparse_7b_and_names_one_wrong_tensor_of_hundreds(tmp_path):
    try:
        assert sparse_folder(tmp_path / "whole") > 13e9
    except OSError:
        pytest.skip("this file system has no sparse files of 14 GB")
    found = look(tmp_path / "whole")
    assert found.parameters == 6_929_256_448
    assert [f for f in found.faults if "tokenizer" not in f] == []
    name = "model.layers.17.mlp.down_proj.weight"
    sparse_folder(tmp_path / "wrong", lambda shapes: shapes.update({name: (4096, 11007)}))
    assert any(f"tensor {name} is (4096, 11007)" in f for f in look(tmp_path / "wrong").faults)
    sparse_folder(tmp_path / "missing", lambda shapes: shapes.pop(name))
    assert any(f"lacks the tensor {name}" in f for f in look(tmp_path / "missing").faults)
