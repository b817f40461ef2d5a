"""Random steps on several gloo processes, each compared with one process; also naive versions that hang."""

import faulthandler
import multiprocessing
import os
import random
import signal
import time
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from tiny_training import SPEC, tiny_section, write_mix

from p2med import store
from p2med.model.build import add_adapter, build, build_tokenizer
from p2med.train import ranks
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import Example, prepare_examples
from p2med.train.freeze import learn_only
from p2med.train.loop import Loop
from p2med.train.objectives import sft
from p2med.train.resume import Progress
from p2med.train.shard import shard

WATCHDOG_S = 30
LEARN = ("connector", "llm"), ("connector", "adapter")


def make_model(root: Path, learn: tuple[str, ...], dtype: torch.dtype):
    """A small model and what it learns from; the processes are forks and share it."""
    conversations = write_mix(root, ("base",), count=36, images=lambda n: 1 + n % 3)
    section = tiny_section()
    tokenizer = build_tokenizer(section, {t.text for c in conversations for t in c.turns})
    model, processor = build(section, SPEC, tokenizer)
    if "adapter" in learn:
        add_adapter(model, section.adapter.model_copy(update={"dropout": 0.0}), seed=0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)  # zeros would give A no gradient
    examples, _ = prepare_examples(conversations, processor, 512, learns_text=True, task_weights={})
    learn_only(model, learn, heads=False)
    return model.to(dtype), examples


def make_loop(model, examples: list[Example], root: Path, sharded: bool) -> Loop:
    """Nothing is random in its steps."""
    stage = StageConfig(stage="base", learn=("connector",), lr=1e-3, steps=1)
    load = lambda volume: store.read_volume(volume.path, root)  # noqa: E731
    batcher = Batcher(model, load, 3, True, None, 2**20, torch.device("cpu"))
    loss = sft.loss
    if sharded:
        loss = shard(model, loss, torch.device("cpu"), cast=lambda module: None)
    return Loop(model, examples, stage, loss, batcher, root / "log", sharded=sharded)


def layout(examples: list[Example], dice: random.Random) -> tuple[list[Example], int | None]:
    """A step: one modality, one to seven conversations, so that ranks may get none; conversations a pass."""
    group = dice.choice(sorted({e.group for e in examples}))
    chosen = dice.choices([e for e in examples if e.group == group], k=dice.randint(1, 7))
    return chosen, dice.choice([None, 1, 2, 3])


def gradients(loop: Loop, chosen: list[Example], micro: int | None, add_up) -> torch.Tensor:
    loop.optimizer.zero_grad(set_to_none=True)
    parameters = list(loop.learning.values())
    add_up(parameters, loop._gradients(0, chosen, Progress(micro=micro)), None)
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return torch.cat([(g.full_tensor() if hasattr(g, "full_tensor") else g).flatten() for g in found])


def alone(loop: Loop, chosen: list[Example]) -> torch.Tensor:
    """The step's gradients by one process."""
    share, ranks.share = ranks.share, lambda things: things
    try:
        return gradients(loop, chosen, None, lambda *_: None)
    finally:
        ranks.share = share


def one_rank(
    rank: int, count: int, place: Path, kind: str, layouts: int, seed: int, model, examples, answers
) -> None:
    torch.set_num_threads(1)
    if "naive" in kind:
        faulthandler.disable()  # gloo aborts when sizes differ, and its stack is of no use here
    dist.init_process_group(
        "gloo", init_method=f"file://{place}/meet", rank=rank, world_size=count,
        timeout=timedelta(seconds=3 if "naive" in kind else WATCHDOG_S),
    )  # fmt: skip
    single = make_loop(deepcopy(model), examples, place, False) if rank == 0 else None
    loop = make_loop(model, examples, place, "sharded" in kind and count > 1)
    add_up = only_what_is_there if kind == "naive" else ranks.add_up
    if kind == "naive sharded":
        loop.sharded = False  # as many passes as each has conversations for
    dice, worst, slowest = random.Random(seed), 0.0, 0.0
    for _ in range(layouts):
        chosen, micro = layout(loop.examples, dice)
        if (
            kind == "naive"
        ):  # each rank has its own idea of the step, and only what has a gradient is exchanged
            chosen, _ = layout(loop.examples, random.Random(dice.random() + rank))
        start = time.monotonic()
        together = gradients(loop, chosen, micro, add_up)
        slowest = max(slowest, time.monotonic() - start)
        if single is not None and "naive" not in kind:
            wanted = alone(single, chosen)
            worst = max(worst, float((together - wanted).norm() / wanted.norm()))
    answers.put((worst, slowest))
    ranks.leave()


def only_what_is_there(parameters, total, micro) -> None:
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)


def start(
    count: int,
    place: Path,
    kind: str = "whole",
    layouts: int = 10,
    seed: int = 0,
    learn: tuple[str, ...] = LEARN[0],
    dtype: torch.dtype = torch.float64,  # so that only a wrong sum can differ
    patience_s: float = WATCHDOG_S,
) -> tuple[list[int | None], float, float]:
    """Run the same random layouts on `count` processes.

    Returns:
      Their exit codes (None: hung until the watchdog); the greatest relative difference of a step's gradients
      to one process; the slowest step in seconds.
    """
    model, examples = make_model(place, learn, dtype)
    codes, answers = in_processes(
        count, patience_s, one_rank,
        place=place, kind=kind, layouts=layouts, seed=seed, model=model, examples=examples,
    )  # fmt: skip
    if codes != [0] * count:
        return codes, float("inf"), float("inf")
    return codes, max(a[0] for a in answers), max(a[1] for a in answers)


def in_processes(count: int, patience_s: float, work, **arguments) -> tuple[list[int | None], list]:
    """Run work(rank, count, answers=..., **arguments) in `count` forks; exit codes and what they answered."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [
        context.Process(target=work, args=(rank, count), kwargs={**arguments, "answers": queue})
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    end = time.monotonic() + patience_s
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
    codes = [p.exitcode for p in processes]
    for process in processes:
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    return codes, [queue.get(timeout=5) for _ in codes] if codes == [0] * count else []
