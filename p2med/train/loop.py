"""The loop: one optimizer step after another, each a pure function of the step's number and what was before.

Our own, not transformers' Trainer: a resumed run must equal an uninterrupted one byte for byte, its
checkpoints must hold no pickle, and all randomness of a step must follow from (seed, step).
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from p2med.errors import ModelError
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.progress import say, track
from p2med.train import ranks
from p2med.train.batch import Batch, Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import Example, learned_tokens
from p2med.train.history import with_noisy_history
from p2med.train.monitor import Monitor
from p2med.train.plan import Plan, learning_rate
from p2med.train.resume import Progress, load_progress, remember_memory, save_progress

Loss = Callable[[P2MedForConditionalGeneration, Batch], Tensor]
RESTORED_AT_MOST = 3
"""A training that breaks again and again has a fault that going back does not mend."""


def make_optimizer(learning: dict[str, torch.nn.Parameter], stage: StageConfig) -> torch.optim.Optimizer:
    """AdamW; only matrices decay. The paper says Adam, which is weight_decay 0, the default."""
    matrices = [p for p in learning.values() if p.ndim >= 2]
    others = [p for p in learning.values() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=stage.lr, fused=True)


class Loop:
    """Trains one stage from wherever it was left."""

    def __init__(
        self,
        model: P2MedForConditionalGeneration,
        examples: Sequence[Example],
        stage: StageConfig,
        loss: Loss,
        batcher: Batcher,
        log: Path,
        autocast: bool = False,
        sharded: bool = False,
    ):
        self.model, self.examples, self.stage, self.loss, self.batcher = model, examples, stage, loss, batcher
        self.plan = Plan(examples, stage)
        self.learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimizer = make_optimizer(self.learning, stage)
        saved = set(model.state_dict())
        self.statistics = {n: b for n, b in model.named_buffers() if n in saved}
        self.log = log
        self.autocast = autocast
        self.sharded = sharded
        self.device = next(iter(self.learning.values())).device

    def run(self, folder: Path, identity: dict[str, Any]) -> Progress:
        """Run to the last step; `folder` holds the checkpoints between steps.

        Returns:
          The finished progress; the model holds the final weights.

        Raises:
          ModelError: the loss stays infinite, or one conversation alone does not fit into memory.
        """
        self._place = folder, identity
        progress = self._load(folder, identity)
        ranks.same_everywhere(progress.step, "how far the training is", folder)
        if progress.step and ranks.first():
            say(f"train {self.stage.stage}: continues after step {progress.step} of {self.plan.steps}")
        self.model.train()
        with self._monitor(progress) as monitor:
            steps: Iterable[int] = range(progress.step, self.plan.steps)
            if monitor:
                steps = track(steps, f"train {self.stage.stage}", more=monitor.words)
            for step in steps:
                start = time.monotonic()
                line, learned_here = self._step(step, progress)
                if monitor:
                    monitor.note(line, time.monotonic() - start, learned_here)
                if progress.broken >= self.stage.broken_steps_at_most:
                    self._restore(folder, identity, progress)
                elif progress.step % self.stage.save_every == 0 and progress.step < self.plan.steps:
                    self._save(folder, identity, progress)
        self.model.eval()
        return progress

    def _load(self, folder: Path, identity: dict[str, Any]) -> Progress:
        return load_progress(folder, identity, self.learning, self.optimizer, self.statistics)

    def _save(self, folder: Path, identity: dict[str, Any], progress: Progress) -> None:
        if not progress.broken:  # weights after a broken step were not seen to work
            save_progress(folder, identity, self.learning, self.optimizer, progress, self.statistics)
        ranks.wait()

    def _restore(self, folder: Path, identity: dict[str, Any], progress: Progress) -> None:
        """Take weights and optimizer back from the last checkpoint; the steps that broke are not repeated."""
        say(f"train {self.stage.stage}: {progress.broken} broken steps in a row, back to the last checkpoint")
        progress.restored += 1
        progress.broken = 0
        if progress.restored > RESTORED_AT_MOST or not self._load(folder, identity).step:
            raise ModelError(
                f"train stage {self.stage.stage}: the loss is not finite from step {progress.step} on, and "
                "going back does not help; lower lr or max_grad_norm, or look at this stage's data"
            )

    def _step(self, step: int, progress: Progress) -> tuple[dict[str, Any], int]:
        """One optimizer step of all ranks: a function of its number, the weights and the seed.

        Returns:
          Its line in losses.jsonl, and how many tokens this rank learned from.
        """
        random = np.random.default_rng([self.stage.seed, step, 0xB00C])
        words = self.model.config.text_config.vocab_size
        chosen = [
            with_noisy_history(self.examples[i], self.stage.history_noise, words, random)
            for i in self.plan.batch(step)
        ]
        rate = learning_rate(step, self.plan.steps, self.stage)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        learning = list(self.learning.values())
        mine = self._gradients(step, chosen, progress)
        total, progress.micro = ranks.add_up(learning, mine, progress.micro)
        norm = ranks.clip(learning, self.stage.max_grad_norm)
        # A broken step is left out and counted; one bad batch must not poison the weights.
        if math.isfinite(total) and math.isfinite(norm):
            self.optimizer.step()
            progress.broken = 0
        else:
            progress.skipped += 1
            progress.broken += 1
        self.optimizer.zero_grad(set_to_none=True)
        kind, task = chosen[0].group
        line = {
            "step": step,
            "kind": kind,
            "task": task,
            "loss": round(total, 6) if math.isfinite(total) else None,
            "lr": round(rate, 10),
            "grad_norm": float(f"{norm:.6g}") if math.isfinite(norm) else None,
            "samples": len(chosen),
            "tokens": sum(len(e.input_ids) for e in chosen),
            "learned_tokens": learned_tokens(chosen),
        }
        progress.losses.append(line)
        progress.step = step + 1
        return line, learned_tokens(ranks.share(chosen))

    def _gradients(self, step: int, chosen: list[Example], progress: Progress) -> float:
        """This rank's part of the step's gradients, and of its loss; what does not fit is tried in halves."""
        while True:
            most = ranks.largest_share(len(chosen))
            size = min(x for x in (self.stage.micro_batch_size, progress.micro, most) if x)
            try:
                return sum(
                    self._micro(step, micro, part, chosen, counts)
                    for micro, (part, counts) in enumerate(ranks.passes(chosen, size, self.sharded))
                )
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if size == 1:
                    raise ModelError(
                        f"train stage {self.stage.stage}: one conversation alone does not fit into memory; "
                        "`p2med plan` says what would"
                    ) from None
            progress.micro = size // 2
            if self.sharded:  # the others wait inside a pass that this process cannot finish
                remember_memory(*self._place, progress.micro)
                raise ModelError(
                    f"train stage {self.stage.stage}: out of memory; the same command continues with "
                    f"{progress.micro} conversations a pass"
                )
            self.optimizer.zero_grad(set_to_none=True)
            say(f"train {self.stage.stage}: out of memory, {progress.micro} conversations a pass from now on")

    def _micro(
        self, step: int, micro: int, part: Sequence[Example], chosen: list[Example], counts: float
    ) -> float:
        entropy = [self.stage.seed, step, micro, *([ranks.world()[0]] if ranks.world()[0] else [])]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        batch = self.batcher.batch(part, chosen)
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=self.autocast):
            value = self.loss(self.model, batch) * counts
        value.backward()
        return float(value.detach())

    def _monitor(self, progress: Progress) -> AbstractContextManager[Monitor | None]:
        """What the first process notes of every step."""
        if not ranks.first():
            return nullcontext()
        dtype = torch.bfloat16 if self.autocast else torch.float32
        return Monitor(self.log, self.stage.stage, self.model, progress.losses, self.device, dtype)


def _out_of_memory(error: Exception) -> bool:
    """CUDA has an error of its own, the CPU's allocator only words."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
