"""Training images, changed a little: moved, turned, stretched, lit. Never a flip: sides matter.

One draw a volume, from the global generator of torch, which the loop seeds for each step.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from p2med.train.config import AugmentConfig


def augmented(pixels: Tensor, config: AugmentConfig) -> Tensor:
    """float32[N, D, H, W] in [0, 1] -> the same, each volume by its own draw.

    What comes in from outside repeats the edge: a black frame would be a cue of its own.
    """
    n, depth, height, width = pixels.shape
    draw = (torch.rand(n, 8) * 2 - 1).to(pixels.device)
    angle, scale = draw[:, 0] * math.radians(config.turn_degrees), 1 + config.scale * draw[:, 1]
    across = scale * (1 + config.aspect * draw[:, 6])
    cos, sin = torch.cos(angle), torch.sin(angle)
    move = 2 * config.shift
    theta = [across * cos, -scale * sin, move * draw[:, 2], across * sin, scale * cos, move * draw[:, 3]]
    grid = F.affine_grid(torch.stack(theta, 1).view(n, 2, 3), [n, depth, height, width], align_corners=False)
    moved = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    power, contrast = torch.exp(config.gamma * draw[:, 7]), 1 + config.contrast * draw[:, 4]
    lit = moved.clamp(1e-4, 1) ** power.view(n, 1, 1, 1) if config.gamma else moved
    shown = (lit - 0.5) * contrast.view(n, 1, 1, 1) + 0.5 + (config.brightness * draw[:, 5]).view(n, 1, 1, 1)
    # Padded slices may be brightened; they are masked by their depth and never read.
    return shown.clamp(0, 1)
