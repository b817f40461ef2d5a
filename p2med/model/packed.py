"""Attention over conversations that lie end to end in one row: none reads another, nothing is padding.

    float[B, T, d] with mask bool[B, T]  ->  float[1, sum of lengths, d]  ->  layers  ->  float[B, T, d]

Every position's rotary angle counts from the start of its own conversation, so that packed and padded
runs give the same states (tests/model/test_packed.py). Without `lengths` it is transformers' own attention.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from p2med.model import causal

NAME = "p2med_packed"


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    lengths: tuple[int, ...] | None = None,
    **kwargs: object,
) -> tuple[Tensor, Tensor | None]:
    """transformers' attention interface; query, key, value float[1, heads, sum(lengths), head width]."""
    if lengths is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if query.device.type == "cpu" and not dropout and _computes_in_bfloat16(query):
        return causal.attention(query, key, value, lengths, scaling).transpose(1, 2).contiguous(), None
    grouped = key.shape[1] != query.shape[1]
    each = [
        F.scaled_dot_product_attention(
            *qkv, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        for qkv in zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True)
    ]
    return torch.cat(each, dim=2).transpose(1, 2).contiguous(), None


def _computes_in_bfloat16(tensor: Tensor) -> bool:
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return tensor.dtype == torch.bfloat16


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def states(language_model: PreTrainedModel, embeds: Tensor, real: Tensor) -> Tensor:
    """The last layer's states float[B, T, d] for embeddings float[B, T, d]; zero where not `real` bool[B, T].

    `real` is a run of True from the start of each row.
    """
    lengths = tuple(n for n in real.sum(1).tolist() if n)
    positions = torch.arange(real.shape[1], device=real.device).expand_as(real)[real]
    # A mask of four dimensions is handed through as it is, and `attention` needs none.
    unused = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=real.device)
    out = language_model.model(
        inputs_embeds=embeds[real][None],
        position_ids=positions[None],
        attention_mask=unused,
        use_cache=False,
        lengths=lengths,
    )
    found = out.last_hidden_state[0]
    return found.new_zeros(*real.shape, found.shape[-1]).masked_scatter(real[..., None], found)
