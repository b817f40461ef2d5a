"""Checkpoints and pretrained folders outside any run: `p2med assemble`, `p2med doctor`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from p2med.errors import P2MedError, RecipeError


def assemble(
    llm: Annotated[Path, typer.Option(help="a Hugging Face folder: LLaMA, Qwen 2, 2.5, 3 or Baichuan 2")],
    encoder: Annotated[Path, typer.Option(help="a folder with CLIP, SigLIP or eva_vit_g.pth")],
    out: Annotated[Path, typer.Option(help="the checkpoint to write")],
    image_size: Annotated[int, typer.Option(help="pixels a side of a prepared image")] = 336,
    connector: Annotated[str, typer.Option(help="perceiver or linear")] = "perceiver",
    dtype: Annotated[str, typer.Option(help="bfloat16 or float32, of the language model")] = "bfloat16",
) -> None:
    """Build a checkpoint from pretrained folders; a tensor that does not fit is refused by name."""
    if dtype not in ("bfloat16", "float32"):
        raise RecipeError(f"--dtype {dtype}: known are bfloat16 and float32")
    module = importlib.import_module("p2med.model.assemble")
    count = module.assemble(llm, encoder, out, image_size, connector, dtype)
    print(f"{out}: {count:,} parameters; the connector is fresh and must be trained")


def doctor(weights: Annotated[Path, typer.Option(help="a folder with weights of any kind")]) -> None:
    """Say what a folder of weights is and what is wrong with it; exit code 2 when it cannot be used."""
    found = importlib.import_module("p2med.model.doctor").look(weights)
    print("\n".join((f"{found.folder}: {found.kind}", *(f"  {fact}" for fact in found.facts))))
    if found.faults:
        raise P2MedError("; ".join(found.faults))
    print("  can be used")
