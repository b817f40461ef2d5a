"""One wrong tensor planted in any stage between training and the server is named; what is right passes."""

import importlib.util
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import uvicorn
from export_maker import damage
from PIL import Image
from typer.testing import CliRunner

from p2med.cli import app
from p2med.errors import ModelError
from p2med.export import samples, sides
from p2med.export.compare import Difference, differ
from p2med.export.parity import Parity, parity, table
from p2med.export.write import export
from p2med.imaging.spec import ImageSpec
from p2med.model import merge as merging
from p2med.model.checkpoint import seal
from p2med.model.generate import Generator
from p2med.model.quantise import to_int4
from p2med.serve.app import create_app
from p2med.serve.config import ServeConfig

HAS_ENGINE = importlib.util.find_spec("openvino") is not None
needs_engine = pytest.mark.skipif(not HAS_ENGINE, reason="the extra cpu-serve is not installed")
LAYER = "language_model.model.layers.0"
QUICK = samples.drawn()[:2]


def compared(a, b, chosen=QUICK) -> Parity:
    sided = [x if isinstance(x, (sides.Local, sides.Server)) else sides.Local(x) for x in (a, b)]
    return parity(*sided, chosen, 6)


def first(found: Parity) -> str:
    """The name of what differs first."""
    assert found.first is not None
    return found.first.split(" of sample")[0].split(":")[0]


# ---------------------------------------------------------------- what is right passes


def test_what_was_trained_and_what_was_merged_give_the_same_tokens(lora, merged):
    found = compared(lora, merged, samples.drawn())
    assert found.first is None and found.left_out == 0
    assert all(t.first is None and t.agree == t.total for t in found.tokens)
    assert max(d.relative for d in found.differences if d.stage == "on the way") < 1e-5
    stages = {d.stage for d in found.differences}
    assert stages == {"processor", "weights", "on the way", "logits"}
    names = [d.name for d in found.differences if d.stage == "on the way" and d.sample == "film"]
    assert names[:4] == ["encoder[0]", "connector[0]", "embeddings", f"{LAYER}.self_attn.q_proj"]
    assert names[-1] == "language_model.lm_head"


@needs_engine
@pytest.mark.parametrize("kind", ["bf16", "int8", "int4"])
def test_an_export_is_within_the_tolerance_of_its_format(lora, exported, kind):
    found = compared(lora, exported[kind])
    assert found.first is None, found.first
    assert 0.9 < max(d.relative for d in found.differences if d.stage == "weights") <= 1
    assert f"{kind} for openvino" in table(found)


def test_a_merge_rounded_to_bfloat16_is_within_its_tolerance(lora, tmp_path):
    merging.merge(lora, tmp_path / "x", dtype="bfloat16")
    assert compared(lora, tmp_path / "x").first is None


# ---------------------------------------------------------------- train -> merge


def test_a_forgotten_lora_scale_is_named(lora, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "adapter_scale", lambda adapter: 1.0)
    merging.merge(lora, tmp_path / "merged")
    found = compared(lora, tmp_path / "merged")  # the comparison has the same fault: the activations tell
    assert all(d.equal for d in found.differences if d.stage == "weights")
    assert first(found) == f"{LAYER}.self_attn.q_proj"
    monkeypatch.undo()
    assert first(compared(lora, tmp_path / "merged")) == f"{LAYER}.self_attn.q_proj.weight"


def test_lora_left_out_of_one_layer_is_named(lora, merged, tmp_path):
    name = "language_model.model.layers.1.mlp.down_proj"
    shutil.copytree(merged, tmp_path / "x")
    base = sides.TensorFiles(lora)[f"{name}.base_layer.weight"]
    damage(tmp_path / "x", lambda tensors: tensors.update({f"{name}.weight": base}))
    assert first(compared(lora, tmp_path / "x")) == f"{name}.weight"


@pytest.mark.parametrize("part", ["encoder.", "connector.", "language_model.model.norm."])
def test_one_number_of_one_tensor_among_all_is_named(merged, tmp_path, part):
    name = sorted(n for n in sides.TensorFiles(merged) if n.startswith(part))[-1]
    shutil.copytree(merged, tmp_path / "x")

    def change(tensors):
        tensors[name].view(-1)[3] += 0.01

    damage(tmp_path / "x", change)
    assert first(compared(merged, tmp_path / "x")) == name


# ---------------------------------------------------------------- merge -> export


def half_turned(weight: torch.Tensor) -> torch.Tensor:
    """Rows in GGUF's order of rotary halves instead of Hugging Face's: 4 heads of 16."""
    return weight.unflatten(0, (4, 2, 8)).transpose(1, 2).flatten(0, 2)


def swap_gate_and_up(tensors):
    for end in ("weight", "weight_scale"):
        gate, up = f"{LAYER}.mlp.gate_proj.{end}", f"{LAYER}.mlp.up_proj.{end}"
        tensors[gate], tensors[up] = tensors[up], tensors[gate]


def permute_query_rows(tensors):
    for end in ("weight", "weight_scale"):
        name = f"{LAYER}.self_attn.q_proj.{end}"
        tensors[name] = half_turned(tensors[name])


def shift_groups(tensors):
    name = f"{LAYER}.mlp.down_proj.weight_scale"
    tensors[name] = tensors[name].roll(1, dims=1)


def swap_halves_of_bytes(tensors):
    name = f"{LAYER}.self_attn.v_proj.weight"
    tensors[name] = tensors[name] << 4 | tensors[name] >> 4


@needs_engine
@pytest.mark.parametrize(
    "change, name",
    [
        (permute_query_rows, "self_attn.q_proj.weight"),
        (swap_gate_and_up, "mlp.gate_proj.weight"),
        (shift_groups, "mlp.down_proj.weight"),
        (swap_halves_of_bytes, "self_attn.v_proj.weight"),
    ],
)
def test_a_tensor_exported_wrongly_is_named_even_in_4_bits(merged, exported, tmp_path, change, name):
    shutil.copytree(exported["int4"], tmp_path / "x")
    damage(tmp_path / "x", change)
    assert first(compared(merged, tmp_path / "x")) == f"{LAYER}.{name}"


@needs_engine
def test_a_whole_export_with_other_groups_than_it_says_is_named(merged, tmp_path, monkeypatch):
    wrong = lambda weight, group: (to_int4(weight, group)[0], to_int4(weight.roll(group, 1), group)[1])  # noqa: E731
    monkeypatch.setattr("p2med.export.write.to_int4", wrong)
    export(merged, tmp_path / "x", "int4")
    assert first(compared(merged, tmp_path / "x")).endswith(".weight")


@needs_engine
@pytest.mark.parametrize(
    "fault, name",
    [
        ("positions", "self_attn.o_proj"),  # the first that sees keys turned by another angle
        ("gate", "mlp.down_proj"),
        ("eps", "self_attn.q_proj"),
    ],
)
def test_layers_wired_wrongly_around_right_weights_are_named(merged, exported, monkeypatch, fault, name):
    graph = sides.load_engine().Graph
    if fault == "positions":
        monkeypatch.setattr(graph, "_turned", lambda self, states: states)
    elif fault == "gate":
        real = graph._linear
        other = {"gate_proj": "up_proj", "up_proj": "gate_proj"}

        def swapped(self, called, *rest):
            start, _, end = called.rpartition(".")
            found = real(self, f"{start}.{other.get(end, end)}" if start else called, *rest)
            found.set_friendly_name(called)
            return found

        monkeypatch.setattr(graph, "_linear", swapped)
    b = sides.Local(exported["bf16"])
    if fault == "eps":
        b.shape.rms_norm_eps = 1.0
    names = {"gate": ("mlp.gate_proj",)}.get(fault, (name,))
    assert first(compared(merged, b)) in [f"{LAYER}.{n}" for n in names]


@needs_engine
def test_an_engine_that_forgets_what_it_was_told_is_found_by_its_tokens(merged, exported):
    b = sides.Local(exported["bf16"])
    real = b.generator.open_session

    class Forgets:
        def __init__(self):
            self._first = real()

        def feed(self, embeds, mask, positions, last=1):
            if embeds.shape[1] > 1:
                return self._first.feed(embeds, mask, positions, last)
            return real().feed(embeds, mask[:, -1:], positions, last)

    b.generator.open_session = Forgets
    found = compared(merged, b)
    assert all(d.equal for d in found.differences)
    assert first(found) == "greedy token 1"


# ---------------------------------------------------------------- the processor


def with_spec(folder: Path, target: Path, **changes) -> Path:
    shutil.copytree(folder, target)
    spec = ImageSpec.model_validate_json((folder / "image_spec.json").read_bytes())
    (target / "image_spec.json").write_text(spec.model_copy(update=changes).model_dump_json())
    seal(target)
    return target


def test_another_normalisation_of_pixels_is_named(merged, tmp_path):
    ct = [s for s in samples.drawn() if s.name == "CT"]
    window = with_spec(merged, tmp_path / "window", window_level_hu=40.0)
    assert first(compared(merged, window, ct)) == "pixel_values[0]"
    stretch = with_spec(merged, tmp_path / "stretch", high_percentile=99.5)
    assert first(compared(merged, stretch)) == "pixel_values[0]"


def test_another_mean_and_deviation_inside_the_encoder_are_named(merged):
    b = sides.Local(merged)
    b.generator.model.encoder.register_forward_pre_hook(lambda m, given: ((given[0] - 0.48) / 0.27,))
    assert first(compared(merged, b)) == "encoder[0]"


def test_another_chat_template_is_named(merged):
    b = sides.Local(merged)
    real = b.generator.processor.text_ids
    b.generator.processor.text_ids = lambda words: real(words.replace("Assistant: ", "Assistant:"))
    assert first(compared(merged, b)) == "input_ids"


def test_a_padded_prompt_is_named_by_its_positions(merged):
    b = sides.Local(merged)
    real = b.generator.processor.pad
    b.generator.processor.pad = lambda rows: (
        real(rows) | {"attention_mask": torch.ones(1, len(rows[0])).tril(-1)}
    )
    assert first(compared(merged, b)) == "attention_mask"


def test_another_stop_token_is_named(merged):
    b = sides.Local(merged)
    b.generator.stop = b.generator.processor.tokenizer.pad_token_id
    assert first(compared(merged, b)) == "stop_token"
    c = sides.Local(merged)
    c.generator.processor.tokenizer.eos_token = "<pad>"
    assert first(compared(merged, c)) == "input_ids"


def test_another_number_of_image_tokens_is_named(merged):
    b = sides.Local(merged)
    b.generator.processor.tokens_per_image = lambda depth: 3
    found = compared(merged, b)
    assert first(found) == "input_ids" and found.tokens == ()


# ---------------------------------------------------------------- the server


@pytest.fixture(scope="module")
def serve():
    """`serve(folder, change)` -> the URL of a real server; `change` is done to its Generator."""
    running = []

    def started(folder, change=lambda generator: None) -> str:
        generator = Generator.load(folder, "cpu", threads=1)
        change(generator)
        server = uvicorn.Server(
            uvicorn.Config(create_app(generator, ServeConfig()), port=0, log_level="error")
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"

    yield started
    for server, thread in running:
        server.should_exit = True
        thread.join(timeout=10)


def test_a_server_says_what_its_folder_says(merged, serve):
    found = compared(merged, sides.Server(serve(merged)), samples.drawn())
    assert found.first is None
    assert found.left_out == 1  # the CT: a server takes one file an image
    assert "6 the same to the last token" in table(found)


@needs_engine
def test_an_exported_folder_is_served_as_it_answers_by_itself(exported, serve):
    assert compared(sides.Server(serve(exported["int4"])), exported["int4"]).first is None


def test_a_server_of_other_weights_or_words_is_found(lora, merged, serve, tmp_path):
    shutil.copytree(merged, tmp_path / "x")
    damage(tmp_path / "x", lambda tensors: tensors["language_model.lm_head.weight"].neg_())
    assert first(compared(merged, sides.Server(serve(tmp_path / "x")))).startswith("greedy token")

    def other_template(generator):
        real = generator.processor.text_ids
        generator.processor.text_ids = lambda words: real(words.replace("Human: ", "User wrote: "))

    found = compared(merged, sides.Server(serve(merged, other_template)))
    assert first(found) == "length of input_ids"


def test_two_servers_and_no_server_are_refused(merged, serve):
    one = sides.Server(serve(merged))
    with pytest.raises(ModelError, match="two servers show only their answers"):
        compared(one, one)
    with pytest.raises(ModelError, match="does not answer"):
        sides.Server("http://127.0.0.1:9")


# ---------------------------------------------------------------- the command


def test_the_command_exits_with_2_and_writes_every_figure(merged, lora, tmp_path):
    Image.fromarray(np.zeros((40, 30), dtype=np.uint8)).save(tmp_path / "film.png")
    (tmp_path / "asked.jsonl").write_text('{"text": "描述", "images": ["film.png"]}\n\n{"text": "诊断"}\n')
    words = ["parity", str(lora), str(merged), "--samples", str(tmp_path / "asked.jsonl")]
    done = CliRunner().invoke(app, [*words, "--max-new-tokens", "3", "--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0 and "equal within the tolerance" in done.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["first"] is None and len(found["tokens"]) == 9
    assert {d["sample"] for d in found["differences"]} >= {"line 1", "line 3"}
    wrong = with_spec(merged, tmp_path / "wrong", high_percentile=90.0)
    with pytest.raises(ModelError, match=r"they differ, first in pixel_values\[0\]"):
        CliRunner().invoke(app, ["parity", str(merged), str(wrong)], catch_exceptions=False)


@pytest.mark.parametrize("line", ["{", '{"images": []}', '{"text": "x", "images": ["none.png"]}'])
def test_a_sample_that_cannot_be_read_is_refused_by_its_line(tmp_path, line):
    (tmp_path / "asked.jsonl").write_text('{"text": "诊断"}\n' + line)
    with pytest.raises(ModelError, match="line 2: not {text, images}"):
        samples.of_a_file(tmp_path / "asked.jsonl")


def test_a_number_that_is_none_is_no_agreement():
    a = torch.ones(3)
    assert differ("s", "n", "", a, a.clone(), 0.0).equal
    for b in (torch.tensor([1.0, float("nan"), 1.0]), torch.full((3,), float("inf")), torch.ones(4)):
        assert not differ("s", "n", "", a, b, 1e9).equal
    assert not replace(Difference("s", "n", "", 0, 0, 0.2, 0.1)).equal
