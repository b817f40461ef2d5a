"""What a training looks like while it runs; outside the verb's folder, for the figures depend on the clock.

    log/train_<stage>.jsonl         one line a step
    log/train_<stage>.device.json   device and its peak
    log/tensorboard/<stage>/        the same for TensorBoard, when that package is there

{"step": 12, "kind": "film", "task": "xray_report", "loss": 2.31, "lr": 0.0009, "grad_norm": 0.8,
 "samples": 8, "tokens": 1840, "learned_tokens": 610, "seconds": 0.41, "tokens_per_s": 4488,
 "samples_per_s": 19.5, "mfu": 0.31, "memory_gib": 1.2, "peak_memory_gib": 1.4,
 "drawn": {"film/xray_report": 96}, "time": 1795259123.1}

What a step is (up to `learned_tokens`) also stands in the stage's losses.jsonl, whose bytes never change.
After a kill the log is cut to where the training continues, so every step has exactly one line.
"""

import json
import resource
import time
from collections import deque
from pathlib import Path
from typing import Any, TextIO

import torch

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.store import write_json, write_text
from p2med.train.work import Work, peak

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # the JSON lines are there all the same
    SummaryWriter = None  # type: ignore[assignment, misc]

LAST = 20
"""Steps that the progress line's loss and speed are about."""
PAGE_BYTES = resource.getpagesize()


class Monitor:
    """Notes every step of one stage; only the first process of several makes one."""

    def __init__(
        self,
        folder: Path,
        stage: str,
        model: P2MedForConditionalGeneration,
        done: list[dict[str, Any]],
        device: torch.device,
        dtype: torch.dtype,
    ):
        """`done`: the lines of the steps before this one."""
        self._path = folder / f"train_{stage}.jsonl"
        self._device = device
        self._work = Work(model)
        self._peak, source = peak(device, dtype)
        self._drawn: dict[str, int] = {}
        for line in done:
            self._count(line)
        _cut(self._path, done)
        about = {"device": str(device), "peak_flops_per_s": self._peak, "peak_source": source}
        write_json(folder / f"train_{stage}.device.json", about)
        self._file: TextIO = open(self._path, "a", encoding="utf-8", buffering=1)
        self._board = None
        if SummaryWriter is not None:
            self._board = SummaryWriter(str(folder / "tensorboard" / stage), purge_step=len(done))
        self._last: deque[tuple[float | None, int, float]] = deque(maxlen=LAST)

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._work.close()
        self._file.close()
        if self._board is not None:
            self._board.close()

    def note(self, line: dict[str, Any], seconds: float, learned_here: int) -> None:
        """Keep one step.

        Args:
          line: what the step was, as losses.jsonl has it.
          seconds: how long it took, without saving.
          learned_here: tokens that this process learned from.
        """
        flops = self._work.take(learned_here)
        self._count(line)
        used, most = self._memory_gib()
        seen = {
            "seconds": round(seconds, 4),
            "tokens_per_s": round(line["tokens"] / seconds, 1),
            "samples_per_s": round(line["samples"] / seconds, 3),
            "mfu": round(flops / seconds / self._peak, 4) if self._peak else None,
            "memory_gib": used,
            "peak_memory_gib": most,
            "drawn": self._drawn,
            "time": round(time.time(), 3),
        }
        self._file.write(json.dumps({**line, **seen}) + "\n")
        self._last.append((line["loss"], line["tokens"], seconds))
        if self._board is not None:
            self._show(self._board, line, seen)

    def words(self) -> str:
        """What the progress line says beside the estimate, of the last steps."""
        losses = [loss for loss, _, _ in self._last if loss is not None]
        loss = f"{sum(losses) / len(losses):.3f}" if losses else "not finite"
        speed = sum(n for _, n, _ in self._last) / max(1e-9, sum(s for _, _, s in self._last))
        return f"loss {loss}, {speed:,.0f} tokens/s" if self._last else ""

    def _count(self, line: dict[str, Any]) -> None:
        group = f"{line['kind']}/{line['task']}"
        self._drawn[group] = self._drawn.get(group, 0) + line["samples"]

    def _memory_gib(self) -> tuple[float, float]:
        """In use and at most so far: allocated on a GPU, resident on a CPU."""
        if self._device.type == "cuda":
            used = torch.cuda.memory_allocated(self._device)
            most = torch.cuda.max_memory_allocated(self._device)
        else:
            used = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
            most = max(used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10)
        return round(used / 2**30, 3), round(most / 2**30, 3)

    def _show(self, board: "SummaryWriter", line: dict[str, Any], seen: dict[str, Any]) -> None:
        kind, task = line["kind"], line["task"]
        values = {
            "loss/every_step": line["loss"],
            f"loss_by_task/{task}": line["loss"],
            f"loss_by_kind/{kind}": line["loss"],
            "step/lr": line["lr"],
            "step/grad_norm": line["grad_norm"],
            **{f"speed/{k}": seen[k] for k in ("tokens_per_s", "samples_per_s", "mfu")},
            **{f"memory/{k}": seen[k] for k in ("memory_gib", "peak_memory_gib")},
            f"drawn_by_task/{task}": sum(n for g, n in self._drawn.items() if g.endswith(f"/{task}")),
            f"drawn_by_kind/{kind}": sum(n for g, n in self._drawn.items() if g.startswith(f"{kind}/")),
        }
        for name, value in values.items():
            if value is not None:
                board.add_scalar(name, value, line["step"])


def _cut(path: Path, done: list[dict[str, Any]]) -> None:
    """Leave one line for each step that is done; one that a crash lost is taken from what the step was."""
    kept: dict[int, str] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            kept[json.loads(text)["step"]] = text
        except (ValueError, KeyError, TypeError):
            continue  # the line that a kill cut short
    lines = [kept.get(line["step"]) or json.dumps(line) for line in done]
    write_text(path, "".join(line + "\n" for line in lines))
