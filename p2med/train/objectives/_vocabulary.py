"""Cross-entropy over the vocabulary, some rows at a time: the logits of all rows are never there at once.

With 55,296 words the logits of 4,000 tokens take 0.9 GB in float32, and autograd keeps two more of that size.
Here each chunk's gradient is made while its logits are at hand, as Liger's fused loss does (Hsu et al. 2024,
arXiv:2410.10989), and the logits are dropped.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

ROWS = 512
"""Logits at once: enough for a product that runs at full speed."""
CACHED_ROWS = 32
"""Of these, rows that are looked at together: their float32 stays in the processor's cache."""


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, states: Tensor, weight: Tensor, targets: Tensor, factors: Tensor | None
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        of_states = torch.zeros_like(states) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        kind = logits_type(states, weight)
        x, head = states.detach().to(kind), weight.detach().to(kind)
        room = x.new_empty(min(ROWS, len(x)), len(head))
        for start in range(0, len(x), ROWS):
            part = slice(start, start + ROWS)
            logits = torch.mm(x[part], head.T, out=room[: len(x[part])])
            total += _to_gradient(logits, targets[part], None if factors is None else factors[part])
            if of_states is not None:
                of_states[part] = logits @ head
            if of_weight is not None:
                of_weight += logits.T @ x[part]
        ctx.save_for_backward(of_states, of_weight)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, of_total: Tensor) -> tuple[Tensor | None, ...]:
        return *(None if g is None else g * of_total.to(g.dtype) for g in ctx.saved_tensors), None, None


def _to_gradient(logits: Tensor, targets: Tensor, factors: Tensor | None) -> Tensor:
    """Turn logits [n, V] in place into the gradient of their loss, and return that loss."""
    total = torch.zeros((), dtype=torch.float32, device=logits.device)
    rows = CACHED_ROWS if logits.device.type == "cpu" else len(logits)
    for start in range(0, len(logits), rows):
        part = slice(start, start + rows)
        log_p = torch.log_softmax(logits[part].float(), dim=-1)
        each = log_p.gather(1, targets[part, None])[:, 0]
        gradient = log_p.exp_()
        gradient[torch.arange(len(each), device=logits.device), targets[part]] -= 1
        if factors is not None:
            each = each * factors[part]
            gradient *= factors[part, None]
        total -= each.sum()
        logits[part] = gradient
    return total


def logits_type(states: Tensor, weight: Tensor) -> torch.dtype:
    """What the product of both is computed in: autocast's type, or the wider of the two."""
    device = states.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return torch.promote_types(states.dtype, weight.dtype)


def cross_entropy(states: Tensor, weight: Tensor, targets: Tensor, factors: Tensor | None = None) -> Tensor:
    """Sum over rows of factor * -log p(target).

    Args:
      states: float[N, d]; weight: float[V, d], the output layer's; targets: int64[N].
      factors: float[N]; 1 when None.
    """
    return _CrossEntropy.apply(states, weight, targets, factors)
