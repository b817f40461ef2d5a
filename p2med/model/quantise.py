"""Weights of a linear layer in 8 or 4 bits, and back; activations and everything else stay as they are.

int8   w[o, i] = scale[o] * q[o, i],                q in -127 … 127, one scale a row
int4   w[o, i] = scale[o, i // group] * q[o, i],    q in -8 … 7, one scale for `group` neighbours of a row

In int4 the number of largest magnitude of a group becomes -8 exactly, so the scale may be negative (the rule
of ggml's Q4_0). Two numbers share a byte, the earlier one in its low half.
"""

import torch
from torch import Tensor

GROUPS = (64, 32, 16)


def group_of(width: int) -> int | None:
    """How many neighbours share a scale; None: the layer is too narrow for 4 bits."""
    return next((g for g in GROUPS if width % g == 0), None)


def to_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """float[O, I] -> int8[O, I] and float32[O, 1]."""
    weight = weight.float()
    scale = weight.abs().amax(1, keepdim=True) / 127
    return torch.round(weight / _not_zero(scale)).to(torch.int8), scale


def from_int8(numbers: Tensor, scale: Tensor) -> Tensor:
    """float32[O, I]."""
    return numbers.float() * scale


def to_int4(weight: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """float[O, I] -> uint8[O, I / 2] and float32[O, I / group]."""
    grouped = weight.float().unflatten(1, (-1, group))
    largest = grouped.gather(2, grouped.abs().argmax(2, keepdim=True))
    scale = largest / -8
    numbers = torch.round(grouped / _not_zero(scale)).clamp(-8, 7).to(torch.int16).flatten(1) & 15
    return (numbers[:, 0::2] | numbers[:, 1::2] << 4).to(torch.uint8), scale[..., 0]


def from_int4(packed: Tensor, scale: Tensor) -> Tensor:
    """float32[O, I]."""
    both = torch.stack([packed & 15, packed >> 4], dim=-1).flatten(1).to(torch.int8)
    signed = torch.where(both > 7, both - 16, both).float()
    return (signed.unflatten(1, (scale.shape[1], -1)) * scale[..., None]).flatten(1)


def _not_zero(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 1.0, scale)
