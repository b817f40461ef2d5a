"""How two tensors of the same name differ, and how much of it rounding explains."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

TOLERANCES = {"float32": 1e-4, "bfloat16": 0.05, "bf16": 0.05, "int8": 0.1, "int4": 0.7}
"""Of the language model's activations and logits: norm of the difference to norm of the first side's tensor,
by the coarser side. Measured in bench/export.md."""
ROUNDED_EMBEDDINGS = 0.005
"""Every exported folder has its embeddings in bfloat16."""


@dataclass(frozen=True)
class Difference:
    """`relative`: norm of b - a to that of a; of weights, the largest difference to what rounding can do."""

    stage: str
    name: str
    sample: str
    largest: float
    mean: float
    relative: float
    tolerance: float

    @property
    def equal(self) -> bool:
        return self.relative <= self.tolerance

    def __str__(self) -> str:
        where = f" of sample {self.sample!r}" if self.sample else ""
        return f"{self.name}{where}: relative difference {self.relative:.3g}, tolerance {self.tolerance:.3g}"

    def record(self) -> dict[str, Any]:
        """For JSON, which has no infinity: None where nothing can be said, e.g. of another shape."""
        return {k: None if v == NEVER else v for k, v in asdict(self).items()} | {"equal": self.equal}


NEVER = float("inf")


def tolerance_of(first: str, second: str, tensor: str = "language_model") -> float:
    """How far a tensor may differ between sides of these precisions; vision is in float32 everywhere."""
    if tensor.startswith("language_model"):
        return max(TOLERANCES[first], TOLERANCES[second])
    exact = tensor != "embeddings" or first == second == "float32"
    return TOLERANCES["float32"] if exact else ROUNDED_EMBEDDINGS


def differ(stage: str, name: str, sample: str, a: Tensor, b: Tensor, tolerance: float) -> Difference:
    """Compare two tensors; another shape, or a number that is none on one side, is beyond every tolerance."""
    if a.shape != b.shape:
        return Difference(stage, name, sample, NEVER, NEVER, NEVER, tolerance)
    away = (b.double() - a.double()).abs()
    if not len(away.flatten()):
        return Difference(stage, name, sample, 0.0, 0.0, 0.0, tolerance)
    size, norm = float(away.norm()), float(a.double().norm())
    relative = 0.0 if size == 0 else size / norm if norm else NEVER
    relative = relative if relative == relative else NEVER
    return Difference(stage, name, sample, float(away.max()), float(away.mean()), relative, tolerance)


def differ_in_weights(name: str, a: Tensor, b: Tensor, bound: Tensor | float) -> Difference:
    """Compare a tensor with what was rounded from it; 1 is as far as rounding can go.

    Args:
      bound: how far each number may be from the other.
    """
    if a.shape != b.shape:
        return Difference("weights", name, "", NEVER, NEVER, NEVER, 1.0)
    away = (b - a).abs()
    # Products in another order move the last bits of a merged weight.
    allowed = bound + 1e-6 * a.abs().max().clamp(min=1e-30)
    share = torch.nan_to_num(away / allowed, nan=NEVER)
    relative = float(share.max()) if share.numel() else 0.0
    return Difference("weights", name, "", float(away.max()), float(away.mean()), relative, 1.0)
