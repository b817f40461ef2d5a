"""Pretrained folders in their public layouts are taken whole; one wrong tensor is refused by name."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    CLIPConfig,
    CLIPModel,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
    SiglipConfig,
    SiglipModel,
)

from p2med.errors import ModelError
from p2med.imaging.spec import ImageSpec
from p2med.model import weights
from p2med.model.build import build, build_tokenizer
from p2med.model.config import LlmConfig, ModelSection, PartConfig
from p2med.model.llm_folder import read_llm, read_shape
from p2med.model.tokenizer import bytes_of, open_tokenizer

SHAPE = dict(
    vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=4, max_position_embeddings=64,
)  # fmt: skip
FAMILIES = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
IDS = torch.arange(5, 25)[None]


@pytest.fixture
def llama(tmp_path):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SHAPE)).eval()
    model.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama", model


def change(folder, edit):
    """Edit the tensors of a folder with one file."""
    path = folder / "model.safetensors"
    tensors = {k: v.clone() for k, v in load_file(path).items()}
    edit(tensors)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("shards", [False, True])
def test_each_family_gives_the_logits_that_transformers_gives(family, shards, tmp_path):
    torch.manual_seed(1)
    theirs = AutoModelForCausalLM.from_config(FAMILIES[family](**SHAPE)).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="40KB" if shards else "5GB")
    assert (tmp_path / "model.safetensors.index.json").exists() == shards
    ours = read_llm(tmp_path, 320, torch.float32).eval()
    with torch.no_grad():
        assert torch.equal(ours(IDS).logits, theirs(IDS).logits)


def test_a_tied_output_layer_stays_tied(tmp_path):
    theirs = AutoModelForCausalLM.from_config(Qwen2Config(**SHAPE, tie_word_embeddings=True)).eval()
    theirs.save_pretrained(tmp_path)
    ours = read_llm(tmp_path, 322, torch.float32)
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    assert ours.lm_head.weight.shape == (322, 32)
    with torch.no_grad():
        assert torch.equal(ours(IDS).logits[..., :320], theirs(IDS).logits)


def test_new_rows_are_the_mean_and_spare_rows_are_kept(llama):
    folder, theirs = llama
    grown = read_llm(folder, 323, torch.float32)
    for layer in (grown.get_input_embeddings(), grown.get_output_embeddings()):
        torch.testing.assert_close(layer.weight[-1], layer.weight[:320].mean(0))
    assert grown.config.vocab_size == 323
    assert read_llm(folder, 300, torch.float32).config.vocab_size == 320
    assert grown(IDS).logits.shape[-1] == 323


def test_bin_files_are_read_and_code_in_them_is_not_run(llama, tmp_path):
    folder, theirs = llama
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    with torch.no_grad():
        assert torch.equal(read_llm(folder, 320, torch.float32)(IDS).logits, theirs(IDS).logits)

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    torch.save({"model.norm.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="more than tensors"):
        read_llm(folder, 320, torch.float32)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError):
        read_llm(folder, 320, torch.float32)
    assert not (tmp_path / "run").exists()


def test_one_wrong_tensor_is_refused_by_its_name(llama):
    folder, _ = llama
    whole = (folder / "model.safetensors").read_bytes()
    name = "model.layers.1.self_attn.k_proj.weight"
    faults = {
        f"lacks the tensor {name}": lambda t: t.pop(name),
        "lacks: model.layers.3.extra": lambda t: t.update({"model.layers.3.extra": torch.zeros(2)}),
        rf"tensor {name} is \(32, 31\)": lambda t: t.update({name: torch.zeros(32, 31)}),
        "lacks: .*qweight": lambda t: t.update({"model.layers.0.mlp.up_proj.qweight": torch.zeros(2)}),
    }
    for words, fault in faults.items():
        change(folder, fault)
        with pytest.raises(ModelError, match=words):
            read_llm(folder, 320, torch.float32)
        (folder / "model.safetensors").write_bytes(whole)
    change(folder, lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(4)}))
    read_llm(folder, 320, torch.float32)  # angles in old files follow from the configuration


def test_damaged_files_and_indices_are_one_line(llama):
    folder, _ = llama
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cut short"):
        read_llm(folder, 320, torch.float32)
    (folder / "model.safetensors").write_bytes(whole)
    index = {"weight_map": {"model.norm.weight": "model.safetensors", "gone": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="lacks the tensor gone"):
        read_llm(folder, 320, torch.float32)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(ModelError, match="has none of"):
        read_llm(folder, 320, torch.float32)


def test_baichuan_is_read_as_the_llama_that_it_is(llama):
    folder, theirs = llama
    config = json.loads((folder / "config.json").read_bytes())
    config |= {"model_type": "baichuan", "model_max_length": 64, "architectures": ["BaichuanForCausalLM"]}

    def fuse(tensors):
        for n in range(3):
            parts = [tensors.pop(f"model.layers.{n}.self_attn.{p}_proj.weight") for p in "qkv"]
            tensors[f"model.layers.{n}.self_attn.W_pack.weight"] = torch.cat(parts)
        tensors["lm_head.weight"] *= 3.0

    change(folder, fuse)
    (folder / "config.json").write_text(json.dumps(config))
    ours = read_llm(folder, 320, torch.float32)
    theirs.lm_head.weight.data = torch.nn.functional.normalize(theirs.lm_head.weight.data)
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS).logits, theirs(IDS).logits)
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 5120}))
    with pytest.raises(ModelError, match="ALiBi"):
        read_shape(folder)


def test_an_unknown_family_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ModelError, match="type gpt2; read are baichuan, llama, qwen2, qwen3"):
        read_shape(tmp_path)


def towers() -> dict[str, tuple]:
    small = dict(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        patch_size=8,
        image_size=32,
    )
    text = dict(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=9,
        max_position_embeddings=4, eos_token_id=1, bos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    return {
        "clip_vit": CLIPModel(CLIPConfig(vision_config=small, text_config=text)),
        "siglip": SiglipModel(SiglipConfig(vision_config=small, text_config=text)),
    }


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("kind", ["clip_vit", "siglip"])
def test_a_tower_alone_or_of_a_whole_model_gives_the_same_features(kind, alone, tokenizer_model, tmp_path):
    whole = towers()[kind].eval()
    tower = whole.vision_model
    (tower if alone else whole).save_pretrained(tmp_path)
    section = ModelSection(
        encoder=PartConfig(kind=kind, weights=str(tmp_path)),
        connector=PartConfig(kind="perceiver", layers=1, latents=2, heads=1, head_width=8),
        llm=LlmConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2),
    )
    model, _ = build(section, ImageSpec(size=32), tokenizer_model)
    slices = torch.rand(2, 32, 32)
    with torch.no_grad():
        found = model.encoder.eval()(slices)
        pixels = slices[:, None].repeat(1, 3, 1, 1)
        if kind == "clip_vit":
            mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
            deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
            states = tower(pixel_values=(pixels - mean) / deviation, output_hidden_states=True).hidden_states
            expected = states[-2][:, 1:]
        else:
            expected = tower(pixel_values=pixels * 2 - 1, output_hidden_states=True).hidden_states[-2]
    assert found.shape == (2, 16, 16)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    change(tmp_path, lambda t: t.pop(next(n for n in t if n.endswith("layers.1.mlp.fc1.weight"))))
    with pytest.raises(ModelError, match=r"lacks the tensor encoder\.layers\.1\.mlp\.fc1\.weight"):
        build(section, ImageSpec(size=32), tokenizer_model)
    with pytest.raises(ModelError, match="32 px images; set curate.image.size to 32"):
        build(section, ImageSpec(size=64), tokenizer_model)


def test_qwens_tokenizer_has_no_start_and_spells_bytes(tmp_path):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: n for n, c in enumerate([*letters, "<|endoftext|>"])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = open_tokenizer(inner.to_str().encode())
    assert tokenizer.bos_token_id is None and tokenizer.eos_token == "<|endoftext|>"
    ids = tokenizer.encode("肺 ok<image>", add_special_tokens=False)
    spell = bytes_of(tokenizer)
    pieces = tokenizer.convert_ids_to_tokens(ids)
    assert b"".join(map(spell, pieces)).decode() == "肺 ok<image>"  # a user's text never becomes an image
    with pytest.raises(ModelError, match="no token to stop at"):
        open_tokenizer(Tokenizer(models.BPE(vocab={"a": 0}, merges=[])).to_str().encode())


def test_a_pretrained_model_brings_its_tokenizer(llama, tokenizer_model):
    folder, _ = llama
    section = ModelSection(encoder=None, connector=None, llm=LlmConfig(weights=str(folder)))
    with pytest.raises(ModelError, match="none of tokenizer.model, tokenizer.json"):
        build_tokenizer(section, [])
    (folder / "tokenizer.model").write_bytes(tokenizer_model)
    assert build_tokenizer(section, []) == tokenizer_model
    with pytest.raises(ValueError, match="brings its tokenizer"):
        ModelSection(llm=LlmConfig(weights=str(folder)), tokenizer={"kind": "train"})


def test_shards_come_back_as_they_were(tmp_path):
    tensors = {f"t{n}": torch.full((10,), float(n)) for n in range(7)}
    weights.write_shards(tensors, tmp_path, shard_bytes=100)
    assert len(list(tmp_path.glob("model-*.safetensors"))) == 4
    files = weights.TensorFiles(tmp_path)
    assert {n: t.tolist() for n, t in files.items()} == {n: t.tolist() for n, t in tensors.items()}


def test_eva_in_its_public_file_gives_what_a_plain_reference_gives(tokenizer_model, tmp_path):
    """Names and layout of LAVIS' eva_vit_g.pth, written out by hand at a small width."""
    width, heads, layers = 16, 2, 3
    torch.manual_seed(0)
    t = {
        "cls_token": torch.randn(1, 1, width),
        "pos_embed": torch.randn(1, 17, width),
        "patch_embed.proj.weight": torch.randn(width, 3, 8, 8) * 0.1,
        "patch_embed.proj.bias": torch.randn(width),
    }
    for n in range(layers + 1):  # the file has one block more than is used
        for name, shape in {
            "norm1.weight": (width,), "norm1.bias": (width,),
            "norm2.weight": (width,), "norm2.bias": (width,),
            "attn.q_bias": (width,), "attn.v_bias": (width,),
            "attn.qkv.weight": (3 * width, width),
            "attn.proj.weight": (width, width), "attn.proj.bias": (width,),
            "mlp.fc1.weight": (32, width), "mlp.fc1.bias": (32,),
            "mlp.fc2.weight": (width, 32), "mlp.fc2.bias": (width,),
        }.items():  # fmt: skip
            t[f"blocks.{n}.{name}"] = torch.randn(shape) * 0.2
    t |= {"norm.weight": torch.ones(width), "norm.bias": torch.zeros(width)}
    torch.save(t, tmp_path / "eva_vit_g.pth")
    options = dict(
        hidden_size=width, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=heads
    )
    section = ModelSection(
        encoder=PartConfig(kind="eva_vit", weights=str(tmp_path), patch_size=8, **options),
        connector=PartConfig(kind="linear"),
        llm=LlmConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2),
    )
    model, _ = build(section, ImageSpec(size=32), tokenizer_model)
    slices = torch.rand(2, 32, 32)
    norm, linear = torch.nn.functional.layer_norm, torch.nn.functional.linear
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
    pixels = (slices[:, None].repeat(1, 3, 1, 1) - mean) / deviation
    x = torch.nn.functional.conv2d(pixels, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], 8)
    x = torch.cat([t["cls_token"].repeat(2, 1, 1), x.flatten(2).mT], 1) + t["pos_embed"]
    for n in range(layers):
        b = {k.removeprefix(f"blocks.{n}."): v for k, v in t.items() if k.startswith(f"blocks.{n}.")}
        y = norm(x, (width,), b["norm1.weight"], b["norm1.bias"], 1e-6)
        q, k, v = (linear(y, w) for w in b["attn.qkv.weight"].chunk(3))
        q, v = q + b["attn.q_bias"], v + b["attn.v_bias"]
        q, k, v = (z.view(2, 17, heads, -1).transpose(1, 2) for z in (q, k, v))
        y = ((q @ k.mT / (width / heads) ** 0.5).softmax(-1) @ v).transpose(1, 2).reshape(2, 17, width)
        x = x + linear(y, b["attn.proj.weight"], b["attn.proj.bias"])
        y = norm(x, (width,), b["norm2.weight"], b["norm2.bias"], 1e-6)
        y = torch.nn.functional.gelu(linear(y, b["mlp.fc1.weight"], b["mlp.fc1.bias"]))
        x = x + linear(y, b["mlp.fc2.weight"], b["mlp.fc2.bias"])
    with torch.no_grad():
        torch.testing.assert_close(
            model.encoder.eval()(slices), norm(x, (width,))[:, 1:], atol=1e-4, rtol=1e-4
        )
    larger, _ = build(section, ImageSpec(size=64), tokenizer_model)  # positions are interpolated
    assert larger.encoder.pos_embed.shape == (1, 65, width)
    t.pop("blocks.1.attn.q_bias")
    torch.save(t, tmp_path / "eva_vit_g.pth")
    with pytest.raises(ModelError, match=r"lacks the tensor blocks\.1\.attn\.q_bias"):
        build(section, ImageSpec(size=32), tokenizer_model)
