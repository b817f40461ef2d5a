"""The CPU engine computes what transformers computes, for every family, format, batch and way of asking."""

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest
import torch
from export_maker import INNER, WIDTH, ask, damage, pixels_of, questions, volume, write_family
from safetensors.torch import load_file
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from p2med.errors import ModelError
from p2med.export.sides import Weights, tap_names
from p2med.export.write import export
from p2med.model.checkpoint import load_checkpoint
from p2med.model.doctor import look
from p2med.model.exported import load_engine
from p2med.model.generate import Generator
from p2med.model.weights import TensorFiles

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the extra cpu-serve is not installed"
)
SMALL = dict(
    hidden_size=WIDTH,
    intermediate_size=INNER,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=256,
    initializer_range=0.1,
)
EXTRA = "language_model.model.layers.7.x"
LLAMA_3_ROPE = dict(
    rope_type="llama3",
    rope_theta=5e5,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
FAMILIES = {
    "llama": LlamaConfig(**SMALL),
    "llama, grouped, tied": LlamaConfig(**SMALL, num_key_value_heads=2, tie_word_embeddings=True),
    "llama 3 positions": LlamaConfig(**SMALL, rope_parameters=LLAMA_3_ROPE),
    "qwen2": Qwen2Config(**SMALL, num_key_value_heads=2),
    "qwen3": Qwen3Config(**SMALL, num_key_value_heads=1, head_dim=32),
}


def engine(folder, **settings):
    shape = load_checkpoint(folder).model.config.text_config
    kind = json.loads((folder / "export.json").read_bytes())["format"]
    return load_engine().OpenVinoEngine(shape, TensorFiles(folder), kind, 1, **settings)


def reference(source, folder):
    """transformers' model with the weights that the exported folder holds, unpacked."""
    model = load_checkpoint(source).model.language_model.float().eval()
    weights = Weights(folder, exported=True)
    state = model.state_dict()
    rounded = {n: weights[f"language_model.{n}"] for n in state}
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(rounded["lm_head.weight"])
    model.load_state_dict(rounded)
    return model


def prompt(width: int = WIDTH, rows: int = 3, length: int = 20):
    """Embeddings and mask of rows of different lengths, padded on the left."""
    random = torch.Generator().manual_seed(0)
    mask = torch.ones(rows, length, dtype=torch.int64)
    for n in range(rows):
        mask[n, : 5 * n] = 0
    return torch.randn(rows, length, width, generator=random), mask, (mask.cumsum(-1) - 1).clamp(min=0)


@pytest.mark.parametrize("kind", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers_with_the_same_weights(tmp_path, family, kind):
    source = write_family(tmp_path / "source", FAMILIES[family])
    export(source, tmp_path / "out", kind)
    embeds, mask, positions = prompt()
    wanted = reference(source, tmp_path / "out")(
        inputs_embeds=embeds, attention_mask=mask, position_ids=positions, logits_to_keep=5
    ).logits
    found = engine(tmp_path / "out", exact=True).open_session().feed(embeds, mask, positions, last=5)
    assert (found - wanted).norm() / wanted.norm() < 1e-4
    rough = engine(tmp_path / "out").open_session().feed(embeds, mask, positions, last=5)
    assert (rough - wanted).norm() / wanted.norm() < 0.05


def test_token_by_token_is_what_one_pass_gives_and_rows_may_leave(exported):
    embeds, mask, positions = prompt()
    opened = engine(exported["int4"], exact=True)
    whole = opened.open_session().feed(embeds, mask, positions, last=8)
    session, other = opened.open_session(), opened.open_session()
    parts = [session.feed(embeds[:, :13], mask[:, :13], positions[:, :13])[:, -1]]
    other.feed(embeds[:1] * 2, mask[:1], positions[:1])  # another answer under way changes nothing
    for n in range(13, 16):
        parts.append(session.feed(embeds[:, n : n + 1], mask[:, : n + 1], positions[:, n : n + 1])[:, -1])
    assert torch.allclose(torch.stack(parts, 1), whole[:, :4], atol=1e-4)
    rows = torch.tensor([2, 0])
    session.keep(rows)
    for n in range(16, 20):
        found = session.feed(embeds[rows, n : n + 1], mask[rows, : n + 1], positions[rows, n : n + 1])
        assert torch.allclose(found[:, -1], whole[rows, n - 12], atol=1e-4), n


def test_every_linear_layer_can_be_looked_at(exported):
    shape = load_checkpoint(exported["int8"]).model.config.text_config
    session = engine(exported["int8"], exact=True, taps=tap_names(shape)).open_session()
    session.feed(*prompt(rows=1))
    widths = {n.rpartition(".")[2]: t.shape[-1] for n, t in session.seen.items()}
    assert widths["q_proj"] == widths["down_proj"] == widths["norm"] == WIDTH
    assert widths["gate_proj"] == widths["up_proj"] == INNER
    assert all(t.abs().sum() > 0 for t in session.seen.values())


# ---------------------------------------------------------------- as a checkpoint is asked


@pytest.mark.parametrize("kind", ["bf16", "int8", "int4"])
def test_an_exported_folder_answers_as_its_checkpoint_does(lora, exported, kind):
    before, after = Generator.load(lora, "cpu"), Generator.load(exported[kind], "cpu")
    asked = questions(12)
    wanted = before.answer(asked, pixels_of, max_new_tokens=8)
    said = after.answer(asked, pixels_of, max_new_tokens=8)
    same = sum(a[:2] == b[:2] for a, b in zip(said, wanted, strict=True))
    assert same >= {"bf16": 10, "int8": 9, "int4": 1}[kind]
    assert len(set(said)) > 6
    assert [after.answer([q], pixels_of, max_new_tokens=8)[0] for q in asked[:3]] == said[:3]


def test_streaming_sampling_and_probabilities(lora, exported):
    one = Generator.load(exported["int8"], "cpu")
    asked = ask("选择", volume(2, 1), options=("正常", "肺炎", "支气管肺炎"))
    settings = dict(max_new_tokens=16, temperature=1.0, top_p=0.9, seed=3)
    pieces = list(one.stream(asked, pixels_of, **settings))
    assert "".join(pieces) == one.answer([asked], pixels_of, **settings)[0]
    assert "".join(one.stream(asked, pixels_of, **settings | {"seed": 4})) != "".join(pieces)
    steps = one.stream(asked, pixels_of, max_new_tokens=50, cancelled=lambda: True)
    assert list(steps) == []
    found = one.probabilities([asked], pixels_of)[0]
    wanted = Generator.load(lora, "cpu").probabilities([asked], pixels_of)[0]
    assert sum(found.values()) == pytest.approx(1)
    assert all(found[o] == pytest.approx(wanted[o], abs=0.1) for o in asked.options)


def test_what_an_exported_folder_is(exported):
    found = look(exported["int4"])
    assert found.faults == () and "exported in int4 for openvino" in found.facts
    with pytest.raises(ModelError, match="answers through its engine"):
        load_checkpoint(exported["int4"]).model(input_ids=torch.ones(1, 3, dtype=torch.int64))


def test_the_sizes_are_those_of_the_formats(lora, exported):
    layers = {
        n: t for n, t in load_file(exported["int4"] / "model.safetensors").items() if "layers.0.mlp.up" in n
    }
    numbers = WIDTH * INNER
    assert {n.rpartition(".")[2]: t.nbytes for n, t in layers.items()} == {
        "weight": numbers // 2,
        "weight_scale": numbers // 64 * 4,
    }
    sizes = {k: (p / "model.safetensors").stat().st_size for k, p in exported.items()}
    assert sizes["int4"] < sizes["int8"] < sizes["bf16"] < (lora / "model.safetensors").stat().st_size


# ---------------------------------------------------------------- what is refused


def test_a_family_without_engine_is_refused_by_name(tmp_path):
    windows = Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=8, max_window_layers=0)
    yarn = LlamaConfig(**SMALL, rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0))
    for n, (shape, words) in enumerate(
        [
            (MistralConfig(**SMALL), "type mistral has no engine; known: llama, qwen2, qwen3"),
            (LlamaConfig(**SMALL, hidden_act="gelu"), "activation gelu has no engine"),
            (windows, "sliding windows has no engine"),
            (yarn, "type yarn have no engine"),
        ]
    ):
        source = write_family(tmp_path / f"{n}", shape)
        with pytest.raises(ModelError, match=words):
            export(source, tmp_path / "out", "int8")
    assert not (tmp_path / "out").exists()


def test_an_export_of_an_export_or_in_another_format_is_refused(lora, exported, tmp_path):
    with pytest.raises(ModelError, match="is exported for an engine"):
        export(exported["bf16"], tmp_path / "x", "int4")
    with pytest.raises(ModelError, match="known are bf16, int8, int4"):
        export(lora, tmp_path / "x", "fp8")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t, n: t.pop(n), "lacks the tensor"),
        (lambda t, n: t.update({n: t[n][:-1]}), r"is \(63, 32\), not \[64, 64\]"),
        (
            lambda t, n: t.update({"language_model.model.layers.7.x": t[n]}),
            "has a tensor that its layers lack",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_by_its_name(exported, tmp_path, change, words):
    name = "language_model.model.layers.1.self_attn.v_proj.weight"
    shutil.copytree(exported["int4"], tmp_path / "x")
    damage(tmp_path / "x", lambda tensors: change(tensors, name))
    with pytest.raises(ModelError, match=words) as caught:
        Generator.load(tmp_path / "x", "cpu")
    assert "language_model.model.layers." in str(caught.value)
    assert look(tmp_path / "x").faults


def test_without_the_engine_one_line_says_what_to_install(exported, lora, monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("openvino", "p2med.model.openvino"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"openvino is not installed; run: pip install 'p2med\[cpu-serve\]'"):
        Generator.load(exported["int8"], "cpu")
    Generator.load(lora, "cpu")


def test_the_engine_opens_no_connection(exported):
    """OpenVINO's package brings a telemetry of its converter, which is never called here."""
    code = """if True:
        import sys
        seen = []
        bad = ("socket.connect", "socket.sendto", "socket.getaddrinfo")
        sys.addaudithook(lambda event, args: seen.append(event) if event in bad else None)
        from p2med.model.generate import Generator
        from p2med.export.samples import drawn
        film = drawn()[0]
        one = Generator.load(sys.argv[1], "cpu")
        print(len(one.answer([film.conversation], film.loader(one.image_spec), max_new_tokens=3)), seen)
    """
    done = subprocess.run([sys.executable, "-c", code, str(exported["int8"])], capture_output=True, text=True)
    assert done.stdout.strip() == "1 []", done.stderr
