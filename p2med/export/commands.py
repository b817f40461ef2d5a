"""From a trained checkpoint to a CPU server: `p2med merge`, `p2med export`, `p2med parity`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from p2med import store
from p2med.errors import ModelError, RecipeError

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


def parity(
    a: Annotated[str, typer.Argument(help="a checkpoint, an exported folder or a server's URL")],
    b: Annotated[str, typer.Argument(help="another")],
    samples: Annotated[Path | None, typer.Option(help='JSON lines {"text": …, "images": [files]}')] = None,
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="ask held-out conversations of a run")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="conversations of the run, at most")] = 20,
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 32,
    api_key: Annotated[str | None, typer.Option(help="the server's, if it wants one")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="also write every figure as JSON")] = None,
) -> None:
    """Do both give the same, pixels to tokens? If not: exit code 2 and the first tensor that differs."""
    asked = importlib.import_module("p2med.export.samples")
    sides = importlib.import_module("p2med.export.sides")
    module = importlib.import_module("p2med.export.parity")
    remote = [x.startswith(("http://", "https://")) for x in (a, b)]
    chosen = asked.drawn()
    if samples:
        chosen += asked.of_a_file(samples)
    if run_folder:
        chosen += asked.of_a_run(run_folder, limit, any(remote))
    opened = [
        sides.Server(x, api_key) if is_remote else sides.Local(Path(x))
        for x, is_remote in zip((a, b), remote, strict=True)
    ]
    found = module.parity(*opened, chosen, max_new_tokens)
    print(module.table(found))
    if out:
        store.write_json(out, found.record())
    if found.first is not None:
        raise ModelError(f"they differ, first in {found.first}")
    print("equal within the tolerance")
