"""Several processes: no layout hangs, and their gradients are those of one process."""

import faulthandler
import json
import multiprocessing
import os
import random
import signal
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from tiny_training import SPEC, tiny_section, write_mix

from p2med import store
from p2med.model.build import build, build_tokenizer
from p2med.model.checkpoint import load_checkpoint
from p2med.train import ranks
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig, TrainConfig
from p2med.train.examples import Example, prepare_examples
from p2med.train.loop import Loop
from p2med.train.objectives import sft
from p2med.train.resume import Progress
from p2med.train.run import run

LAYOUTS = int(os.environ.get("P2MED_LAYOUTS", "100"))
"""Random layouts a number of ranks; bench/train_faults.md has the run with 1,000."""
WATCHDOG_S = 60


STAGE = TrainConfig(
    stages=[StageConfig(stage="base", learn=("connector", "llm"), lr=1e-3, steps=8)], threads=1
)
"""Nothing random in a step: neither augmentation nor dropout."""


def make_loop(root: Path) -> Loop:
    """In double precision, so that only a wrong sum can differ."""
    conversations = write_mix(root, ("base",), count=36)
    section = tiny_section()
    tokenizer = build_tokenizer(section, {t.text for c in conversations for t in c.turns})
    model, processor = build(section, SPEC, tokenizer)
    examples, _ = prepare_examples(conversations, processor, 512, learns_text=True, task_weights={})
    stage = StageConfig(stage="base", learn=("connector", "llm"), lr=1e-3, steps=1)
    model.requires_grad_(True)
    load = lambda volume: store.read_volume(volume.path, root)  # noqa: E731
    batcher = Batcher(model, load, 3, True, None, 2**20, torch.device("cpu"))
    loop = Loop(model, examples, stage, sft.loss, batcher, root / "log")
    model.double()
    return loop


def layout(examples: list[Example], dice: random.Random) -> list[Example]:
    """A step's conversations: one modality, any number from one to seven, so that ranks may get none."""
    group = dice.choice(sorted({e.group for e in examples}))
    return dice.choices([e for e in examples if e.group == group], k=dice.randint(1, 7))


def gradients(loop: Loop, chosen: list[Example], add_up) -> torch.Tensor:
    loop.optimizer.zero_grad(set_to_none=True)
    parameters = list(loop.learning.values())
    add_up(parameters, loop._gradients(0, chosen, Progress()), None)
    return torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
    )


def one_rank(rank: int, count: int, place: Path, naive: bool, answers) -> None:
    torch.set_num_threads(1)
    if naive:
        faulthandler.disable()  # gloo aborts when sizes differ, and its stack is of no use here
    dist.init_process_group(
        "gloo", init_method=f"file://{place}/meet", rank=rank, world_size=count, timeout=timedelta(seconds=20)
    )
    loop = make_loop(place / str(rank))
    dice, worst = random.Random(count), 0.0
    for _ in range(LAYOUTS):
        chosen = layout(loop.examples, dice)
        if naive:  # each rank has its own idea of the step, and only what has a gradient is exchanged
            chosen = layout(loop.examples, random.Random(dice.random() + rank))
        together = gradients(loop, chosen, only_what_is_there if naive else ranks.add_up)
        if rank == 0 and not naive:
            share, ranks.share = ranks.share, lambda things: things
            alone = gradients(loop, chosen, lambda *_: None)
            ranks.share = share
            worst = max(worst, float((together - alone).norm() / alone.norm()))
    answers.put(worst)
    ranks.leave()


def only_what_is_there(parameters, total, micro) -> None:
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)


def start(count: int, place: Path, naive: bool = False) -> tuple[list, list[float]]:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    place.mkdir()
    processes = [
        context.Process(target=one_rank, args=(rank, count, place, naive, answers)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WATCHDOG_S)
    codes = [p.exitcode for p in processes]
    for process in processes:
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    return codes, [answers.get(timeout=5) for _ in codes] if codes == [0] * count else []


@pytest.mark.parametrize("count", [2, 3])
def test_random_layouts_never_hang_and_add_up_to_one_process(count, tmp_path):
    codes, worst = start(count, tmp_path / "ranks")
    assert codes == [0] * count
    assert max(worst) < 1e-6


def test_a_naive_exchange_does_not_get_through_the_same_layouts(tmp_path):
    codes, _ = start(2, tmp_path / "naive", naive=True)
    assert codes != [0, 0]


def train_in_rank(rank: int, count: int, root: Path, port: int) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    run(STAGE, tiny_section(), SPEC, root)


def test_the_verb_on_two_ranks_learns_what_one_process_learns(tmp_path):
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        write_mix(root, ("base",), count=36)
    run(STAGE, tiny_section(), SPEC, roots[0])
    context = multiprocessing.get_context("fork")
    port = 20000 + os.getpid() % 20000
    processes = [context.Process(target=train_in_rank, args=(r, 2, roots[1], port)) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WATCHDOG_S)
    assert [p.exitcode for p in processes] == [0, 0]
    one, two = (load_checkpoint(root / "5_train" / "base") for root in roots)
    assert two.stage["ranks"] == 2 and one.stage["ranks"] == 1
    # Weights differ where Adam divides a rounding by itself; what is learned must not.
    losses = [
        [json.loads(line)["loss"] for line in (c.folder / "losses.jsonl").read_text().splitlines()]
        for c in (one, two)
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    assert (roots[1] / "5_train" / "manifest.json").exists()
