"""The chunked loss equals torch's in value and gradients, whatever learns, and never holds all logits."""

import pytest
import torch
import torch.nn.functional as F

from p2med.train.objectives import _vocabulary
from p2med.train.objectives._vocabulary import cross_entropy


def made(rows=1300, width=24, words=97):
    torch.manual_seed(0)
    states = torch.randn(rows, width, requires_grad=True)
    weight = torch.randn(words, width, requires_grad=True)
    return states, weight, torch.randint(words, (rows,)), torch.rand(rows)


@pytest.mark.parametrize("head_learns", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_value_and_gradients_are_torchs(head_learns, weighted):
    states, weight, targets, factors = made()
    weight.requires_grad_(head_learns)
    each = F.cross_entropy(states @ weight.T, targets, reduction="none")
    expected = (each * factors).sum() if weighted else each.sum()
    leaves = [states, weight] if head_learns else [states]
    wanted = torch.autograd.grad(expected / 7, leaves)
    found = cross_entropy(states, weight, targets, factors if weighted else None)
    gradients = torch.autograd.grad(found / 7, leaves)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)
    for ours, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_under_autocast_it_is_near_and_keeps_the_types():
    states, weight, targets, _ = made(rows=600)
    with torch.autocast("cpu", torch.bfloat16):
        found = cross_entropy(states, weight, targets)
    found.backward()
    assert found.dtype == torch.float32 and states.grad.dtype == torch.float32
    expected = F.cross_entropy(states @ weight.T, targets, reduction="sum").item()
    assert found.item() == pytest.approx(expected, rel=1e-2)


def test_no_more_rows_than_a_chunk_are_logits_at_once(monkeypatch):
    seen = []
    plain = _vocabulary._to_gradient
    monkeypatch.setattr(_vocabulary, "_to_gradient", lambda x, *rest: seen.append(x) or plain(x, *rest))
    states, weight, targets, _ = made()
    cross_entropy(states, weight, targets).backward()
    assert [len(x) for x in seen] == [_vocabulary.ROWS, _vocabulary.ROWS, len(states) - 2 * _vocabulary.ROWS]
    assert len({x.data_ptr() for x in seen}) == 1  # and every part of them in the same memory


def test_nothing_learned_is_zero():
    states, weight, targets, _ = made(rows=0)
    found = cross_entropy(states, weight, targets)
    found.backward()
    assert found.item() == 0 and not weight.grad.any()
