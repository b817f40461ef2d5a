"""What makes training in bfloat16 faster computes the same: LoRA as one node, attention as products."""

import pytest
import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from p2med.model import causal, packed
from p2med.model.adapters import lora
from p2med.model.adapters._product import LeanLinear, Product

LENGTHS = (7, 300, 1, 700)  # one block, two, a token, three of which backward computes the last again


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_the_nodes_gradients_are_those_of_its_formula(dropped, biased):
    torch.manual_seed(0)
    x, down, up = double(5, 6), double(2, 6), double(4, 2)
    weight, bias = double(4, 6).detach(), double(4).detach() if biased else None
    seen = double(5, 6) if dropped else None
    given = [t for t in (x, seen, down, up) if t is not None]
    out = Product.apply(x, seen, weight, bias, down, up, 2.0)
    plain = F.linear(x, weight, bias) + 2.0 * F.linear(F.linear(x if seen is None else seen, down), up)
    torch.testing.assert_close(out, plain)
    some = torch.randn_like(plain)
    for ours, theirs in zip(
        torch.autograd.grad(out, given, some), torch.autograd.grad(plain, given, some), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def adapted(dropout: float) -> nn.Module:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(
            vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        ),
        attn_implementation=packed.NAME,
    )
    lora.build(lora.Options(rank=4, dropout=dropout), model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(lora.owns(name))
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)  # zero at the start would hide what the adapter does
    return model.train()


def learned(model: nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    embeds = torch.randn(2, 9, 32)
    real = torch.arange(9) < torch.tensor([9, 5])[:, None]
    states = packed.states(model, embeds, real).float()
    (states * torch.randn_like(states)).sum().backward()  # normalised states: a sum of squares says nothing
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return states.detach(), gradients


def as_peft(model: nn.Module) -> nn.Module:
    swapped = [m for m in model.modules() if type(m) is LeanLinear]
    assert len(swapped) == 14
    for module in swapped:
        module.__class__ = Linear
    return model


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_under_autocast_a_model_learns_what_pefts_layers_learn(dropout):
    with torch.autocast("cpu", torch.bfloat16):
        ours, our_gradients = learned(adapted(dropout))
        theirs, their_gradients = learned(as_peft(adapted(dropout)))
    torch.testing.assert_close(ours, theirs, atol=0.06, rtol=0.03)
    assert our_gradients.keys() == their_gradients.keys()
    assert all(g.dtype == torch.float32 for g in our_gradients.values())
    apart = sum(float((g - their_gradients[n]).square().sum()) for n, g in our_gradients.items())
    assert apart < 0.03**2 * sum(float(g.square().sum()) for g in their_gradients.values())


def test_in_float32_it_is_pefts_layer_to_the_last_bit():
    ours, our_gradients = learned(adapted(0.3))
    theirs, their_gradients = learned(as_peft(adapted(0.3)))
    assert torch.equal(ours, theirs)
    assert all(torch.equal(g, their_gradients[n]) for n, g in our_gradients.items())


@pytest.mark.parametrize("shared", [1, 2])
def test_attention_as_products_is_causal_attention_of_each_conversation(shared):
    torch.manual_seed(0)
    total = sum(LENGTHS)
    query, key, value = (double(1, heads, total, 8) for heads in (4, 4 // shared, 4 // shared))
    ours = causal.attention(query, key, value, LENGTHS, None)
    parts = [
        F.scaled_dot_product_attention(*qkv, is_causal=True, enable_gqa=True)
        for qkv in zip(*(x.split(LENGTHS, dim=2) for x in (query, key, value)), strict=True)
    ]
    theirs = torch.cat(parts, dim=2)
    torch.testing.assert_close(ours, theirs)
    some = torch.randn_like(theirs)
    wanted = torch.autograd.grad(theirs, (query, key, value), some)
    for a, b in zip(torch.autograd.grad(ours, (query, key, value), some), wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_bfloat16_on_a_cpu_goes_that_way_and_mixes_no_conversations(monkeypatch):
    calls = []
    plain = causal.attention
    monkeypatch.setattr(causal, "attention", lambda *a: calls.append(a[3]) or plain(*a))
    model = adapted(0.0)
    embeds, real = torch.randn(2, 9, 32), torch.ones(2, 9, dtype=torch.bool)
    changed = torch.cat([embeds[:1] + 1.0, embeds[1:]])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before, after = packed.states(model, embeds, real), packed.states(model, changed, real)
    assert calls == [(9, 9)] * 4
    assert torch.equal(before[1], after[1]) and not torch.equal(before[0], after[0])
