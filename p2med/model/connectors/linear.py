"""Fold neighbouring patches and project them (MiniGPT-Med): no resampling, P / fold tokens a slice.

float[N, D, P, C] -> float[N, D, P / fold, fold * C] -> float[N, D * P / fold, d]
"""

from pydantic import Field
from torch import Tensor, nn

from p2med.errors import RecipeError
from p2med.schema.base import Frozen


class Options(Frozen):
    fold: int = Field(4, ge=1, description="patches in one token")  # MiniGPT-Med: 4


class Linear(nn.Module):
    def __init__(self, options: Options, width_in: int, patches: int, width_out: int):
        super().__init__()
        if patches % options.fold:
            raise RecipeError(f"connector linear: {patches} patches cannot be folded by {options.fold}")
        self.fold = options.fold
        self.project = nn.Linear(width_in * options.fold, width_out)

    def forward(self, features: Tensor, slices: Tensor) -> Tensor:
        """float[N, D, P, C], int64[N] -> float[N, D * P / fold, d]; padded slices come last, unused."""
        n, depth, patches, width = features.shape
        folded = features.reshape(n, depth * patches // self.fold, self.fold * width)
        return self.project(folded)


def build(options: Options, width_in: int, patches: int, width_out: int) -> Linear:
    return Linear(options, width_in, patches, width_out)


def tokens_per_image(options: Options, depth: int, patches: int) -> int:
    return depth * patches // options.fold
