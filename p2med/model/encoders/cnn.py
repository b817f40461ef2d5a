"""A small residual network for learning from scratch on a CPU (ours; the paper starts from CLIP).

float[M, H, W] in [0, 1]  ->  stem /4, then one halving a stage  ->  float[M, P, C]
96 px with three stages: 24 x 24, 12 x 12, 6 x 6  ->  36 patches.
Group normalisation by default: an image's features never depend on its neighbours in a training batch. Batch
normalisation (`norm: batch`) learnt a little faster on real films (bench/real_images.md).
"""

import math
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2med.schema.base import Frozen


class Options(Frozen):
    channels: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 2, 2)
    norm: Literal["group", "batch"] = "group"
    groups: int = Field(8, ge=1, description="groups of a group normalisation")


def _norm(options: Options, width: int) -> nn.Module:
    return nn.BatchNorm2d(width) if options.norm == "batch" else nn.GroupNorm(options.groups, width)


class Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut (He et al. 2016), normalised first."""

    def __init__(self, width_in: int, width: int, stride: int, options: Options):
        super().__init__()
        self.norm1 = _norm(options, width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm2 = _norm(options, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        same = width_in == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(width_in, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(x))
        return self.shortcut(x) + self.conv2(F.relu(self.norm2(self.conv1(y))))


class Cnn(nn.Module):
    def __init__(self, options: Options, image_size: int):
        super().__init__()
        first = options.channels[0]
        self.stem = nn.Conv2d(1, first, 5, 2, 2, bias=False)
        blocks: list[nn.Module] = []
        width_in = first
        for stage, (width, count) in enumerate(zip(options.channels, options.blocks, strict=True)):
            for n in range(count):
                stride = 2 if n == 0 and stage > 0 else 1
                blocks.append(Block(width_in, width, stride, options))
                width_in = width
        self.blocks = nn.Sequential(*blocks)
        self.norm = _norm(options, width_in)
        self.width = width_in
        side = math.ceil(image_size / 4 / 2 ** (len(options.channels) - 1))
        self.patches = side * side

    def initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def train(self, mode: bool = True) -> "Cnn":
        """A frozen encoder stays in evaluation mode, or batch normalisation would go on learning."""
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    def forward(self, slices: Tensor) -> Tensor:
        """float[M, H, W] in [0, 1] -> float[M, P, C]."""
        x = F.max_pool2d(self.stem((slices[:, None] - 0.5) * 4), 3, 2, 1)
        x = F.relu(self.norm(self.blocks(x)))
        return x.flatten(2).transpose(1, 2)


def build(options: Options, image_size: int) -> Cnn:
    return Cnn(options, image_size)
