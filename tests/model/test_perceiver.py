"""The perceiver against a plain reference, and the laws of its masking."""

import math

import pytest
import torch
from torch import nn

from p2med.errors import ModelError
from p2med.model.connectors import linear, perceiver
from p2med.model.connectors.perceiver import Options, Perceiver


def made(**changes) -> Perceiver:
    torch.manual_seed(3)
    options = Options(**{"layers": 2, "latents": 5, "heads": 2, "head_width": 8, "max_slices": 4, **changes})
    module = perceiver.build(options, width_in=6, patches=9, width_out=12)
    module.initialise()
    return module.double()


def reference(m: Perceiver, features: torch.Tensor, depth: int, both: bool = False) -> torch.Tensor:
    """Eq. 3-4 for one volume, head by head and query by query, from the module's tensors only."""

    def norm(x: torch.Tensor, ln: nn.LayerNorm) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + ln.eps) * ln.weight + ln.bias

    rows = [features[d, p] + m.temporal[d] + m.positional[p] for d in range(depth) for p in range(9)]
    x = torch.stack(rows) @ m.project.weight.T + m.project.bias
    h = m.latents
    for layer in m.layers:
        q_in, x_in = norm(h, layer.norm_latents), norm(x, layer.norm_x)
        kv_in = torch.cat([x_in, q_in]) if both else x_in
        q = q_in @ layer.to_q.weight.T
        k, v = (kv_in @ w.T for w in layer.to_kv.weight.chunk(2))
        heads = []
        for n in range(layer.heads):
            s = slice(n * 8, n * 8 + 8)
            weights = torch.softmax(q[:, s] @ k[:, s].T / math.sqrt(8), dim=-1)
            heads.append(weights @ v[:, s])
        h = h + torch.cat(heads, -1) @ layer.to_out.weight.T
        ln, up, _, down = layer.ffn
        z = norm(h, ln) @ up.weight.T
        h = h + (z * 0.5 * (1 + torch.erf(z / math.sqrt(2)))) @ down.weight.T
    return norm(h, m.norm)


@pytest.mark.parametrize("both", [False, True])
def test_the_perceiver_equals_a_plain_reference(both):
    m = made(kv_includes_latents=both)
    features = torch.randn(2, 3, 9, 6, dtype=torch.double)
    found = m(features, torch.tensor([3, 2]))
    assert found.shape == (2, 5, 12)
    for n, depth in enumerate((3, 2)):
        assert torch.allclose(found[n], reference(m, features[n], depth, both), atol=1e-10)


def test_padded_slices_change_nothing_and_real_ones_do():
    m = made()
    features = torch.randn(1, 2, 9, 6, dtype=torch.double)
    alone = m(features, torch.tensor([2]))
    padded = torch.cat([features, torch.full((1, 2, 9, 6), 1e3, dtype=torch.double)], dim=1)
    assert torch.allclose(m(padded, torch.tensor([2])), alone, atol=1e-12)
    assert not torch.allclose(m(padded, torch.tensor([3])), alone, atol=1e-3)


def test_the_order_of_slices_is_seen():
    m = made()
    m.temporal.data.normal_()
    features = torch.randn(1, 3, 9, 6, dtype=torch.double)
    assert not torch.allclose(m(features, torch.tensor([3])), m(features.flip(1), torch.tensor([3])))


def test_a_volume_deeper_than_the_embedding_is_refused():
    with pytest.raises(ModelError, match="5 slices, this perceiver takes 4"):
        made()(torch.zeros(1, 5, 9, 6, dtype=torch.double), torch.tensor([5]))


def test_the_linear_connector_gives_the_tokens_that_it_promises():
    options = linear.Options(fold=4)
    module = linear.build(options, width_in=6, patches=16, width_out=12)
    found = module(torch.zeros(2, 3, 16, 6), torch.tensor([3, 3]))
    assert found.shape == (2, linear.tokens_per_image(options, 3, 16), 12)
