"""The recipe's `bench` section."""

from typing import Literal

from pydantic import Field

from p2med.schema.base import Frozen


class BenchConfig(Frozen):
    checkpoint: str | None = None
    """A stage name or a folder; None: the last stage of the recipe."""
    members: tuple[str, ...] = ()
    """Further checkpoints, named likewise: one answer is made of all of theirs (consensus.py)."""
    split: Literal["val", "bench"] = "bench"
    tasks: tuple[str, ...] = ()
    """Empty: every task that the held-out conversations have."""
    limit_per_task: int | None = Field(None, ge=1)
    max_new_tokens: int = Field(256, ge=1)
    readings: int = Field(1, ge=1)
    """How often each checkpoint reads a text, each time with other lines left out (consensus.py)."""
    single_round: bool = False
    """Ask each round without the rounds before it; a model that was taught in single rounds needs that."""
    swap_images: bool = True
    """Also answer with the images of another patient: what the model does without seeing (a control)."""
    floors: tuple[Literal["constant_report", "nearest_report"], ...] = ("constant_report",)
    """What needs no model is rated beside it; nearest_report suits text tasks (each pair is compared)."""
    beside: tuple[str, ...] = ()
    """Numbers of others with their source, a line each; printed below the table, for comparison by eye."""
    batch_size: int = Field(16, ge=1)
    threads: int | None = Field(None, ge=1, description="CPU threads; None: every core")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
