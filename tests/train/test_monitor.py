"""What one sees of a training: one line a step after any stop, counted work, nothing that is no number."""

import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer
from tiny_training import SPEC, tiny_section, write_mix
from torch.utils.flop_counter import FlopCounterMode

from p2med import progress, store
from p2med.model.build import add_adapter, build, build_tokenizer
from p2med.train import monitor
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import learned_tokens, prepare_examples
from p2med.train.freeze import learn_only
from p2med.train.loop import Loop
from p2med.train.objectives import language, report_words, sft
from p2med.train.work import Work, peak


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    root = tmp_path_factory.mktemp("monitor")
    return root, write_mix(root, ("base",), count=36)


def make_loop(mixed, log: Path, loss=sft.loss, learn=("encoder", "connector", "llm"), **stage) -> Loop:
    root, conversations = mixed
    section = tiny_section()
    texts = {t.text for c in conversations for t in c.turns}
    model, processor = build(section, SPEC, build_tokenizer(section, texts))
    if "adapter" in learn:
        add_adapter(model, section.adapter, seed=0)
    examples, _ = prepare_examples(conversations, processor, 512, learns_text=True, task_weights={})
    learn_only(model, learn, heads=False)
    config = StageConfig(
        **{
            "stage": "base",
            "learn": learn,
            "lr": 1e-3,
            "steps": 12,
            "save_every": 3,
            "batch_size": 4,
            **stage,
        }
    )
    batcher = Batcher(
        model,
        load=lambda volume: store.read_volume(volume.path, root),
        pad_id=3,
        frozen="encoder" not in learn,
        augment=None,
        cache_bytes=1e9,
        device=torch.device("cpu"),
    )
    return Loop(model, examples, config, loss, batcher, log)


def lines(log: Path) -> list[dict]:
    return [json.loads(x) for x in (log / "train_base.jsonl").read_text().splitlines()]


def stop_at(step: int, loss=sft.loss, error: type[BaseException] = KeyboardInterrupt):
    """A loss that is interrupted at the n-th pass."""
    calls = {"n": 0}

    def stopping(model, batch):
        calls["n"] += 1
        if calls["n"] > step:
            raise error
        return loss(model, batch)

    return stopping


# ---------------------------------------------------------------- the log


def test_every_step_has_one_line_with_what_it_was_and_what_it_cost(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path)
    done = loop.run(tmp_path / "steps", {})
    seen = lines(tmp_path)
    assert [x["step"] for x in seen] == list(range(12))
    for line, kept in zip(seen, done.losses, strict=True):
        assert kept.items() <= line.items() and "seconds" not in kept
        assert line["tokens_per_s"] > 0 and line["samples_per_s"] > 0 and 0 < line["mfu"]
        assert 0 < line["memory_gib"] <= line["peak_memory_gib"]
        assert line["grad_norm"] > 0 and 0 < line["learned_tokens"] < line["tokens"]
    drawn: dict[str, int] = {}
    for step in range(12):
        for i in loop.plan.batch(step):
            group = "/".join(loop.examples[i].group)
            drawn[group] = drawn.get(group, 0) + 1
    assert seen[-1]["drawn"] == drawn
    about = json.loads((tmp_path / "train_base.device.json").read_text())
    assert about["peak_flops_per_s"] > 0 and "measured" in about["peak_source"]


def test_after_a_stop_no_step_is_there_twice(mixed, tmp_path, monkeypatch):
    # TensorBoard reads files of one second by their number in the process, as words: 10 in front of 9.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    with pytest.raises(KeyboardInterrupt):
        make_loop(mixed, tmp_path, loss=stop_at(8)).run(tmp_path / "steps", {})
    assert [x["step"] for x in lines(tmp_path)] == list(range(8))  # the last checkpoint is after step 6
    done = make_loop(mixed, tmp_path).run(tmp_path / "steps", {})
    seen = lines(tmp_path)
    assert [x["step"] for x in seen] == list(range(12))
    assert sum(seen[-1]["drawn"].values()) == sum(x["samples"] for x in done.losses)
    whole = make_loop(mixed, tmp_path / "whole").run(tmp_path / "whole/steps", {})
    assert done.losses == whole.losses
    board = EventAccumulator(str(tmp_path / "tensorboard/base")).Reload()
    assert [e.step for e in board.Scalars("loss/every_step")] == list(range(12))
    tags = set(board.Tags()["scalars"])
    assert {"step/lr", "step/grad_norm", "speed/mfu", "speed/tokens_per_s", "memory/memory_gib"} <= tags
    for task in ("xray_report", "ct_report", "outpatient_record"):
        assert {f"loss_by_task/{task}", f"drawn_by_task/{task}"} <= tags
    assert {"loss_by_kind/film", "loss_by_kind/volume", "loss_by_kind/text"} <= tags


def test_a_line_that_a_crash_tore_or_lost_is_there_again(mixed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make_loop(mixed, tmp_path, loss=stop_at(8)).run(tmp_path / "steps", {})
    path = tmp_path / "train_base.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*rows[:2], *rows[3:5], rows[5][:30]]))
    make_loop(mixed, tmp_path).run(tmp_path / "steps", {})
    seen = lines(tmp_path)
    assert [x["step"] for x in seen] == list(range(12))
    assert ["seconds" in x for x in seen] == [True, True, False, True, True, False] + [True] * 6


def test_a_training_from_the_start_begins_its_log_anew(mixed, tmp_path):
    make_loop(mixed, tmp_path).run(tmp_path / "steps", {"seed": 1})
    make_loop(mixed, tmp_path, steps=4).run(tmp_path / "steps", {"seed": 2})
    assert [x["step"] for x in lines(tmp_path)] == list(range(4))


def test_a_loss_that_is_no_number_is_null_and_never_drawn(mixed, tmp_path):
    calls = {"n": 0}

    def sometimes_nan(model, batch):
        calls["n"] += 1
        return sft.loss(model, batch) * (float("nan") if calls["n"] == 2 else 1)

    make_loop(mixed, tmp_path, loss=sometimes_nan, steps=4).run(tmp_path / "steps", {})
    text = (tmp_path / "train_base.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    second = lines(tmp_path)[1]
    assert second["loss"] is None and second["grad_norm"] is None and second["samples"] == 4
    board = EventAccumulator(str(tmp_path / "tensorboard/base")).Reload()
    assert [e.step for e in board.Scalars("loss/every_step")] == [0, 2, 3]


def test_without_tensorboard_the_lines_are_there(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(monitor, "SummaryWriter", None)
    make_loop(mixed, tmp_path, steps=2).run(tmp_path / "steps", {})
    assert len(lines(tmp_path)) == 2 and not (tmp_path / "tensorboard").exists()


def test_the_progress_line_says_loss_speed_and_estimate(mixed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LOG_EVERY_SECONDS", 0.0)
    make_loop(mixed, tmp_path, steps=3).run(tmp_path / "steps", {})
    last = [x for x in capsys.readouterr().err.splitlines() if x.startswith("train base: 3/3")]
    assert last and "left" in last[0] and "loss " in last[0] and "tokens/s" in last[0]


# ---------------------------------------------------------------- the work


CASES = {
    "everything learns": (sft.loss, ("encoder", "connector", "llm"), "film", 0.02),
    "connector and adapter": (sft.loss, ("connector", "adapter"), "volume", 0.02),
    "adapter alone": (sft.loss, ("adapter",), "volume", 0.12),  # the first layer needs no gradient below it
    "adapter, text": (sft.loss, ("connector", "adapter"), "text", 0.12),
    "connector alone": (sft.loss, ("connector",), "film", 0.02),
}


@pytest.mark.parametrize("case", CASES)
def test_counted_work_is_what_torch_counts(mixed, tmp_path, case):
    loss, learn, kind, tolerance = CASES[case]
    loop = make_loop(mixed, tmp_path, loss=loss, learn=learn)
    chosen = [e for e in loop.examples if e.group[0] == kind and {v.shape[0] for v in e.volumes} <= {1, 4}][
        :4
    ]
    batch = loop.batcher.batch(chosen, chosen)  # nothing is padded; a frozen encoder has made its features
    work = Work(loop.model)
    work._square = 0  # torch does not count the CPU's attention
    loop.model.train()
    with FlopCounterMode(display=False) as counter:
        loss(loop.model, batch).backward()
    counted = work.take(learned_tokens(chosen))
    assert counted == pytest.approx(counter.get_total_flops(), rel=tolerance)
    assert work.take(0) == 0


def test_attention_is_counted_causal_and_a_conversation_at_a_time(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path)
    work, model = Work(loop.model), loop.model
    lengths = [5, 9]
    embeds = torch.zeros(1, sum(lengths), 48, requires_grad=True)
    work._read(model, (), {"inputs_embeds": embeds, "lengths": tuple(lengths)})
    with_attention = work.take(0)
    work._square = 0
    work._read(model, (), {"inputs_embeds": embeds, "lengths": tuple(lengths)})
    # Two products of length x length x width a layer, two flops each, half of it masked; three times in all.
    assert with_attention - work.take(0) == 3 * 2 * 48 * 2 * (25 + 81)


def test_features_that_were_read_cost_nothing(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path, learn=("connector", "adapter"))
    films = [e for e in loop.examples if e.group[0] == "film"][:2]
    work = Work(loop.model)
    loop.batcher.batch(films, films)
    first = work.take(0)
    loop.batcher.batch(films, films)
    assert first > 0 and work.take(0) == 0


def test_an_objective_that_reads_no_text_counts_none(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path)
    films = [e for e in loop.examples if e.group[0] == "film"][:4]
    batch = loop.batcher.batch(films, films)
    work = Work(loop.model)
    language.loss(loop.model, batch)
    with_text = work.take(learned_tokens(films))
    loop.model.add_report_words(*report_words.targets(loop.examples), seed=0)
    report_words.loss(loop.model, batch)
    assert 0 < work.take(learned_tokens(films)) < with_text


def test_the_hooks_are_gone_afterwards(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path, steps=1)
    loop.run(tmp_path / "steps", {})
    for module in (loop.model.encoder, loop.model.connector, loop.model.language_model.model):
        assert not module._forward_pre_hooks


def test_a_gpu_has_its_data_sheets_peak_and_an_unknown_one_none(monkeypatch):
    device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: "NVIDIA H100 80GB HBM3")
    assert peak(device, torch.bfloat16)[0] == 989e12 and peak(device, torch.float32)[0] == 67e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: "NVIDIA H200")
    assert peak(device, torch.bfloat16)[0] == 989e12  # not the H20's
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: "NVIDIA H100 PCIe")
    assert peak(device, torch.bfloat16)[0] == 756e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: "NVIDIA Something")
    assert peak(device, torch.bfloat16) == (None, "NVIDIA Something is not in devices.csv")
