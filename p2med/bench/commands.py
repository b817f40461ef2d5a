"""What a checkpoint is asked outside the benchmark: `p2med gate`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from p2med import store
from p2med.errors import P2MedError


def gate(
    checkpoint: Annotated[Path, typer.Argument(help="a checkpoint, e.g. runs/demo/5_train/stage3")],
    run_folder: Annotated[Path, typer.Option("--run", help="the run with held-out conversations")],
    limit: Annotated[int, typer.Option(min=5, help="conversations with images, at most")] = 100,
    out: Annotated[Path | None, typer.Option(help="the result as JSON; by default RUN/gate.json")] = None,
) -> None:
    """Does the answer depend on the image, the right image, the right way up? Exit code 2 when not."""
    module = importlib.import_module("p2med.bench.gate")
    found = module.run(checkpoint, run_folder, limit)
    print(module.table(found))
    folder = importlib.import_module("p2med.model.checkpoint").resolve_checkpoint(checkpoint)
    digest = store.sha256_of(folder / "digests.json")
    record = {"checkpoint_digest": digest, "limit": limit, "conditions": module.record(found)}
    store.write_json(out or run_folder / "gate.json", record)
    faults = [c.fault for c in found if c.fault]
    if faults:
        raise P2MedError("; ".join(faults))
