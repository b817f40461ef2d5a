"""Every family's logits and every encoder's features against formulas written out here, from their files."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from p2med.imaging.spec import ImageSpec
from p2med.model.build import build
from p2med.model.config import LlmConfig, ModelSection, PartConfig
from p2med.model.encoders import clip_vit
from p2med.model.llm_folder import read_llm
from p2med.model.processor import stack
from p2med.schema.conversation import Conversation, Turn, image, text

SHAPE = dict(
    vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2,
)  # fmt: skip
LLMS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config, "baichuan": LlamaConfig}


def root_mean_square(x, weight, epsilon):
    return x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight


def turned(x, theta):
    """Rotary positions: x float[heads, T, width]; the halves of a head are the two coordinates."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[1])[:, None] / theta ** (torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def attended(q, k, v, mask):
    """float[heads, T, width] each."""
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)


def plain_logits(t, config, x):
    """LLaMA, Qwen 2 (biases) and Qwen 3 (normalised heads) from their files' tensors.

    x float[T, d] -> float[T, V].
    """
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    theta, epsilon = config.rope_parameters["rope_theta"], config.rms_norm_eps
    causal = torch.ones(len(x), len(x), dtype=torch.bool).tril()
    for n in range(config.num_hidden_layers):
        w = {k.removeprefix(f"model.layers.{n}."): v for k, v in t.items() if f"layers.{n}." in k}
        y = root_mean_square(x, w["input_layernorm.weight"], epsilon)
        if "self_attn.W_pack.weight" in w:
            parts = w["self_attn.W_pack.weight"].chunk(3)
        else:
            parts = [w[f"self_attn.{p}_proj.weight"] for p in "qkv"]
        q, k, v = (
            F.linear(y, weight, w.get(f"self_attn.{p}_proj.bias")).view(len(x), count, -1).transpose(0, 1)
            for weight, p, count in zip(parts, "qkv", (heads, groups, groups), strict=True)
        )
        if "self_attn.q_norm.weight" in w:
            q = root_mean_square(q, w["self_attn.q_norm.weight"], epsilon)
            k = root_mean_square(k, w["self_attn.k_norm.weight"], epsilon)
        k, v = (z.repeat_interleave(heads // groups, 0) for z in (turned(k, theta), v))
        x = x + F.linear(attended(turned(q, theta), k, v, causal), w["self_attn.o_proj.weight"])
        y = root_mean_square(x, w["post_attention_layernorm.weight"], epsilon)
        gate, up = F.linear(y, w["mlp.gate_proj.weight"]), F.linear(y, w["mlp.up_proj.weight"])
        x = x + F.linear(gate / (1 + (-gate).exp()) * up, w["mlp.down_proj.weight"])
    return F.linear(root_mean_square(x, t["model.norm.weight"], epsilon), t["lm_head.weight"])


@pytest.mark.parametrize("family", sorted(LLMS))
def test_each_familys_logits_are_those_of_its_formula(family, tmp_path):
    torch.manual_seed(2)
    packed = {"num_key_value_heads": 4} if family == "baichuan" else {}
    config = LLMS[family](**SHAPE | packed)
    made = AutoModelForCausalLM.from_config(config)
    for name, parameter in made.named_parameters():
        if "norm" in name or "bias" in name:
            parameter.data.uniform_(0.5, 1.5)  # as made they would hide a mistake
    made.save_pretrained(tmp_path)
    t = load_file(tmp_path / "model.safetensors")
    if family == "baichuan":
        for n in range(3):
            parts = [t.pop(f"model.layers.{n}.self_attn.{p}_proj.weight") for p in "qkv"]
            t[f"model.layers.{n}.self_attn.W_pack.weight"] = torch.cat(parts)
        save_file(t, tmp_path / "model.safetensors", {"format": "pt"})
        words = json.loads((tmp_path / "config.json").read_bytes())
        (tmp_path / "config.json").write_text(
            json.dumps(words | {"model_type": "baichuan", "model_max_length": 64})
        )
        t["lm_head.weight"] = t["lm_head.weight"] / t["lm_head.weight"].norm(dim=1, keepdim=True)
    ids = torch.randint(0, 320, (24,))
    with torch.no_grad():
        found = read_llm(tmp_path, 320, torch.float32).eval()(ids[None]).logits[0]
    wanted = plain_logits(t, config, t["model.embed_tokens.weight"][ids])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


TOWER = dict(
    hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, patch_size=8,
    image_size=32,
)  # fmt: skip


def plain_features(t, slices, kind):
    """The penultimate layer of CLIP (class token dropped) or SigLIP, from a tower's tensors."""
    norm = lambda x, w: F.layer_norm(x, (16,), t[f"{w}.weight"], t[f"{w}.bias"], epsilon)  # noqa: E731
    linear = lambda x, w: F.linear(x, t[f"{w}.weight"], t[f"{w}.bias"])  # noqa: E731
    epsilon = 1e-5 if kind == "clip_vit" else 1e-6
    mean, deviation = (clip_vit.MEAN, clip_vit.DEVIATION) if kind == "clip_vit" else ((0.5,) * 3, (0.5,) * 3)
    pixels = torch.stack([(slices - m) / d for m, d in zip(mean, deviation, strict=True)], 1)
    stem = "embeddings.patch_embedding"
    x = F.conv2d(pixels, t[f"{stem}.weight"], t.get(f"{stem}.bias"), stride=8).flatten(2).mT
    if kind == "clip_vit":
        x = torch.cat([t["embeddings.class_embedding"].expand(len(x), 1, 16), x], 1)
    x = x + t["embeddings.position_embedding.weight"]
    if kind == "clip_vit":
        x = norm(x, "pre_layrnorm")
    every = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
    for n in range(2):  # of three layers
        layer = f"encoder.layers.{n}"
        y = norm(x, f"{layer}.layer_norm1")
        qkv = [linear(y, f"{layer}.self_attn.{p}_proj") for p in "qkv"]
        split = [[z.view(-1, 2, 8).transpose(0, 1) for z in w] for w in qkv]
        y = torch.stack([attended(*each, every) for each in zip(*split, strict=True)])
        x = x + linear(y, f"{layer}.self_attn.out_proj")
        y = linear(norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
        y = y * torch.sigmoid(1.702 * y) if kind == "clip_vit" else F.gelu(y, approximate="tanh")
        x = x + linear(y, f"{layer}.mlp.fc2")
    return x[:, 1:] if kind == "clip_vit" else x


@pytest.mark.parametrize("kind", ["clip_vit", "siglip"])
def test_each_encoders_features_are_those_of_its_formula(kind, tokenizer_model, tmp_path):
    torch.manual_seed(3)
    clip = kind == "clip_vit"
    shape, tower = (CLIPVisionConfig, CLIPVisionModel) if clip else (SiglipVisionConfig, SiglipVisionModel)
    made = tower(shape(**TOWER, **({} if clip else {"vision_use_head": False})))
    for parameter in made.parameters():
        parameter.data.uniform_(-0.5, 0.5)
    made.save_pretrained(tmp_path)
    section = ModelSection(
        encoder=PartConfig(kind=kind, weights=str(tmp_path)),
        connector=PartConfig(kind="linear"),
        llm=LlmConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2),
    )
    model, _ = build(section, ImageSpec(size=32), tokenizer_model)
    t = {k.removeprefix("vision_model."): v for k, v in load_file(tmp_path / "model.safetensors").items()}
    slices = torch.rand(3, 32, 32)
    with torch.no_grad():
        found = model.encoder.eval()(slices)
    torch.testing.assert_close(found, plain_features(t, slices, kind), atol=1e-4, rtol=1e-4)


def test_films_and_volumes_in_several_rounds_stand_where_the_text_puts_them(make, hospital):
    """Every image's tokens, made alone, in place of its own; then the language model's formula."""
    model, processor = make()
    film, scan, later = hospital.volume(1, 1), hospital.volume(5, 2), hospital.volume(1, 3)
    turns = (
        Turn(role="user", content=(text("先看"), image(film), text("再看"), image(scan), text("。"))),
        Turn(role="assistant", content=(text("支气管肺炎"),)),
        Turn(role="user", content=(text("复查"), image(later), text("诊断？"))),
        Turn(role="assistant", content=(text("心影大小正常"),)),
    )
    asked = Conversation(conversation_id="c", task="t", case_id="c", patient_key="p", turns=turns)
    ids = torch.tensor(processor.encode(asked).input_ids)
    arrays = [hospital.pixels_of(v) for v in (film, scan, later)]
    pixels, slices = stack(arrays)
    with torch.no_grad():
        found = model(input_ids=ids[None], pixel_values=pixels, slices=slices).logits[0]
        embeds = model.get_input_embeddings()(ids)
        places = np.flatnonzero(ids.numpy() == model.config.image_token_id).reshape(3, -1)
        assert places[0, -1] + 1 < places[1, 0] and places[1, -1] + 1 < places[2, 0]
        for array, at in zip(arrays, places, strict=True):
            one, depth = stack([array])
            embeds[at] = model.image_tokens(model.encode(one, depth), depth)[0]
        wanted = plain_logits(model.language_model.state_dict(), model.config.text_config, embeds)
        swapped = model(input_ids=ids[None], pixel_values=pixels[[2, 1, 0]], slices=slices).logits[0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, swapped, atol=1e-3)
