"""From a trained checkpoint to a CPU server: `p2med merge`, `p2med export`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from p2med.errors import RecipeError

Checkpoint = Annotated[Path, typer.Argument(help="a checkpoint, e.g. runs/demo/5_train/stage3")]
DTYPES = ("float32", "bfloat16")


def merge(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="the checkpoint to write")],
    dtype: Annotated[str | None, typer.Option(help="float32 or bfloat16; default: as stored")] = None,
) -> None:
    """Fold LoRA into the weights it belongs to; the result is a checkpoint as any other."""
    if dtype is not None and dtype not in DTYPES:
        raise RecipeError(f"--dtype {dtype}: known are {', '.join(DTYPES)}")
    count = importlib.import_module("p2med.model.merge").merge(checkpoint, out, dtype)
    print(f"{out}: LoRA of {count} weights folded in")


def export(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="the folder to write")],
    kind: Annotated[str, typer.Option("--format", help="bf16, int8 or int4")] = "int8",
) -> None:
    """Write a checkpoint for a CPU server (OpenVINO); `serve`, `answer` and `gate` take the folder."""
    found = importlib.import_module("p2med.export.write").export(checkpoint, out, kind)
    print(f"{out}: " + ", ".join(f"{count} layers in {name}" for name, count in found.items()))
