"""A frozen linear layer and its low-rank matrices as one node of autograd, for training in bfloat16.

    y = x W^T + b + s (x' A^T) B^T,   s = alpha / r,   x' = dropout(x)
    x float[N, in]   W float[out, in]   b float[out]   A float[r, in]   B float[out, r]

PEFT's own layer casts x to the matrices' float32 and back, and adds up in passes of their own: on a CPU they
take as long as the products of A and B. Backward needs of x only what A saw, since W does not learn.
"""

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class Product(torch.autograd.Function):
    """The formula above; `seen` is x', or None where it is x itself."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        seen: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
    ) -> Tensor:
        kept = x if seen is None else seen
        low = kept @ down.T
        out = F.linear(x, weight, bias).addmm_(low, up.T, alpha=scale)
        ctx.save_for_backward(kept, low, weight, down, up)
        ctx.scale, ctx.dropped = scale, seen is not None
        return out

    @staticmethod
    def backward(ctx: FunctionCtx, of_out: Tensor) -> tuple[Tensor | None, ...]:
        kept, low, weight, down, up = ctx.saved_tensors
        of_low = (of_out @ up).mul_(ctx.scale)
        of_up = (low.T @ of_out).T * ctx.scale
        of_x = of_seen = None
        if ctx.needs_input_grad[0]:
            of_x = of_out @ weight
            if not ctx.dropped:
                of_x.addmm_(of_low, down)
        if ctx.dropped and ctx.needs_input_grad[1]:
            of_seen = of_low @ down
        return of_x, of_seen, None, None, of_low.T @ kept, of_up, None


class LeanLinear(Linear):
    """PEFT's layer; under autocast, with one adapter on frozen weights, in fewer passes."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base, device = self.get_base_layer(), x.device.type
        plain = len(self.active_adapters) == 1 and not (
            self.merged or self.disable_adapters or args or kwargs
        )
        if not plain or base.weight.requires_grad or not torch.is_autocast_enabled(device):
            return super().forward(x, *args, **kwargs)
        name = self.active_adapters[0]
        dtype = torch.get_autocast_dtype(device)
        down, up = self.lora_A[name].weight.to(dtype), self.lora_B[name].weight.to(dtype)
        bias = None if base.bias is None else base.bias.to(dtype)
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        drop = self.lora_dropout[name]
        seen = drop(rows) if self.training and isinstance(drop, nn.Dropout) else None
        with torch.autocast(device, enabled=False):
            out = Product.apply(rows, seen, base.weight.to(dtype), bias, down, up, self.scaling[name])
        return out.view(*x.shape[:-1], -1)
