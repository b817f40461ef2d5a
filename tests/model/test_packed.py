"""Packed conversations: the same states and gradients as padded ones, in every family of language models."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from p2med.model import packed

SHAPE = dict(
    vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64,
)  # fmt: skip
FAMILIES = {"llama": LlamaConfig(**SHAPE), "qwen2": Qwen2Config(**SHAPE), "qwen3": Qwen3Config(**SHAPE)}
LENGTHS = (7, 1, 19, 12)


@pytest.fixture(params=sorted(FAMILIES))
def model(request):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(FAMILIES[request.param], attn_implementation=packed.NAME).eval()


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    real = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return torch.randn(len(LENGTHS), max(LENGTHS), 32) * 0.3, real


def padded(model, embeds, real):
    model.set_attn_implementation("eager")
    out = model.model(inputs_embeds=embeds, attention_mask=real, use_cache=False).last_hidden_state
    model.set_attn_implementation(packed.NAME)
    return out * real[..., None]


def test_states_and_gradients_equal_padded_eager_attention(model):
    embeds, real = rows()
    found = []
    for run in (packed.states, padded):
        leaf = embeds.clone().requires_grad_()
        states = run(model, leaf, real)
        states.square().sum().backward()
        weights = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        model.zero_grad()
        found.append((states.detach(), leaf.grad, weights))
    (ours, our_gradient, our_weights), (theirs, their_gradient, their_weights) = found
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(our_gradient, their_gradient, atol=1e-4, rtol=1e-4)
    assert our_weights.keys() == their_weights.keys()
    for name, gradient in our_weights.items():
        torch.testing.assert_close(gradient, their_weights[name], atol=2e-4, rtol=1e-4)


def test_no_conversation_reads_another(model):
    embeds, real = rows()
    changed = embeds.clone()
    changed[0] += 1.0
    before, after = packed.states(model, embeds, real), packed.states(model, changed, real)
    assert torch.equal(before[1:], after[1:])
    assert not torch.equal(before[0], after[0])


def test_without_lengths_it_is_plain_attention(model):
    embeds, real = rows()
    out = model.model(inputs_embeds=embeds, attention_mask=real, use_cache=False).last_hidden_state
    torch.testing.assert_close(out * real[..., None], padded(model, embeds, real), atol=1e-5, rtol=1e-5)
