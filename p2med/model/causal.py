"""Causal attention of packed conversations as matrix products, for bfloat16 on a CPU.

torch's fused kernel there reaches a tenth of the speed of products (bench/train.md). Queries are taken a
block at a time against the keys up to the block's end, so that half of each square is never computed and a
long conversation's scores are never there at once; backward computes them again, but for short conversations.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

BLOCK = 256
"""Queries at once. Smaller: more calls; larger: scores beyond the diagonal, and out of the cache."""
KEPT_KEYS = 640
"""Shares of blocks with at most so many keys are kept for backward: at most 1.3 kB a head and token."""


def _blocks(lengths: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """(queries, the keys that some of them read), conversation by conversation; at most BLOCK queries."""
    start = 0
    for length in lengths:
        count = -(-length // BLOCK)
        edges = [start + length * n // count for n in range(count + 1)]
        yield from ((slice(a, b), slice(start, b)) for a, b in zip(edges[:-1], edges[1:], strict=True))
        start += length


def _shares(query: Tensor, key: Tensor) -> Tensor:
    """How much each query looks at each key, [heads, Q, K]; the last Q of the keys are the queries' own."""
    scores = torch.bmm(query, key.transpose(1, 2))
    count = query.shape[1]
    later = torch.full((count, count), float("-inf"), dtype=query.dtype, device=query.device).triu_(1)
    scores[:, :, -count:] += later
    return torch.softmax(scores, dim=-1)


class _Causal(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], scale: float
    ) -> Tensor:
        query = query * scale
        out = query.new_empty(query.shape[1], query.shape[0], query.shape[2]).transpose(0, 1)
        kept = []
        for own, seen in _blocks(lengths):
            shares = _shares(query[:, own], key[:, seen])
            out[:, own] = torch.bmm(shares, value[:, seen])
            if _is_kept(seen):
                kept.append(shares)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.lengths, ctx.scale = lengths, scale
        return out

    @staticmethod
    def backward(ctx: FunctionCtx, of_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *rest = ctx.saved_tensors
        kept = iter(rest)
        of_query, of_key, of_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for own, seen in _blocks(ctx.lengths):
            shares = next(kept) if _is_kept(seen) else _shares(query[:, own], key[:, seen])
            of_own = of_out[:, own].contiguous()
            of_value[:, seen] += torch.bmm(shares.transpose(1, 2), of_own)
            of_shares = torch.bmm(of_own, value[:, seen].transpose(1, 2))
            of_scores = torch._softmax_backward_data(of_shares, shares, -1, shares.dtype)
            of_query[:, own] = torch.bmm(of_scores, key[:, seen])
            of_key[:, seen] += torch.bmm(of_scores.transpose(1, 2), query[:, own])
        return of_query.mul_(ctx.scale), of_key, of_value, None, None


def _is_kept(seen: slice) -> bool:
    return seen.stop - seen.start <= KEPT_KEYS


def attention(
    query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], scale: float | None
) -> Tensor:
    """Let every position read itself and what comes before it in its conversation.

    Args:
      query: float[1, heads, sum(lengths), head width]; key, value: the same, or fewer heads.

    Returns:
      float[1, heads, sum(lengths), head width], under autocast in its type.
    """
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (x.to(torch.get_autocast_dtype("cpu")) for x in (query, key, value))
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return _Causal.apply(query[0], key[0], value[0], lengths, scale)[None]
