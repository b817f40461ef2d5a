"""The loop: one optimizer step after another, each a pure function of the step's number and what was before.

Our own, not transformers' Trainer: a resumed run must equal an uninterrupted one byte for byte, its
checkpoints must hold no pickle, and all randomness of a step must follow from (seed, step).
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.progress import say, track
from p2med.train.batch import Batch, Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import Example
from p2med.train.history import with_noisy_history
from p2med.train.plan import Plan, learning_rate
from p2med.train.resume import Progress, load_progress, save_progress

Loss = Callable[[P2MedForConditionalGeneration, Batch], Tensor]


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
    ):
        self.model, self.examples, self.stage, self.loss, self.batcher = model, examples, stage, loss, batcher
        self.plan = Plan(examples, stage)
        self.learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimizer = make_optimizer(self.learning, stage)
        saved = set(model.state_dict())
        self.statistics = {n: b for n, b in model.named_buffers() if n in saved}
        self.log = log
        self.autocast = autocast

    def run(self, folder: Path, identity: dict[str, Any]) -> Progress:
        """Run to the last step; `folder` holds the checkpoints between steps.

        Returns:
          The finished progress; the model holds the final weights.
        """
        progress = load_progress(folder, identity, self.learning, self.optimizer, self.statistics)
        if progress.step:
            say(f"train {self.stage.stage}: continues after step {progress.step} of {self.plan.steps}")
        self.log.mkdir(parents=True, exist_ok=True)
        board = SummaryWriter(str(self.log / "tensorboard" / self.stage.stage), purge_step=progress.step)
        self.model.train()
        with open(self.log / f"train_{self.stage.stage}.jsonl", "a", encoding="utf-8") as file:
            label = f"train {self.stage.stage}"
            for step in track(range(progress.step, self.plan.steps), label):
                start = time.monotonic()
                line, tokens = self._step(step, progress)
                speed = tokens / (time.monotonic() - start)
                file.write(json.dumps({**line, "tokens_per_s": round(speed), "time": time.time()}) + "\n")
                self._show(board, line, speed)
                if progress.step % self.stage.save_every == 0 and progress.step < self.plan.steps:
                    save_progress(folder, identity, self.learning, self.optimizer, progress, self.statistics)
        board.close()
        self.model.eval()
        return progress

    def _step(self, step: int, progress: Progress) -> tuple[dict[str, Any], int]:
        random = np.random.default_rng([self.stage.seed, step, 0xB00C])
        words = self.model.config.text_config.vocab_size
        chosen = [
            with_noisy_history(self.examples[i], self.stage.history_noise, words, random)
            for i in self.plan.batch(step)
        ]
        rate = learning_rate(step, self.plan.steps, self.stage)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        size = self.stage.micro_batch_size or len(chosen)
        total = 0.0
        for micro, first in enumerate(range(0, len(chosen), size)):
            torch.manual_seed(
                int(np.random.SeedSequence([self.stage.seed, step, micro]).generate_state(1)[0])
            )
            batch = self.batcher.batch(chosen[first : first + size], chosen)
            with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=self.autocast):
                value = self.loss(self.model, batch)
            value.backward()
            total += float(value.detach())
        norm = torch.nn.utils.clip_grad_norm_(list(self.learning.values()), self.stage.max_grad_norm)
        # A broken step is left out and counted; one bad batch must not poison the weights.
        if math.isfinite(total) and bool(torch.isfinite(norm)):
            self.optimizer.step()
        else:
            progress.skipped += 1
        self.optimizer.zero_grad(set_to_none=True)
        kind, task = chosen[0].group
        shown = round(total, 6) if math.isfinite(total) else None
        line = {"step": step, "kind": kind, "task": task, "loss": shown, "lr": round(rate, 10)}
        progress.losses.append(line)
        progress.step = step + 1
        return line, sum(len(e.input_ids) for e in chosen)

    def _show(self, board: SummaryWriter, line: dict[str, Any], speed: float) -> None:
        step = line["step"]
        if line["loss"] is not None:
            board.add_scalar(f"loss/{line['task']}", line["loss"], step)
            board.add_scalar(f"loss_by_kind/{line['kind']}", line["loss"], step)
        board.add_scalar("lr", line["lr"], step)
        board.add_scalar("tokens_per_s", speed, step)
