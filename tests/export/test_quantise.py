"""8 and 4 bits: never further from the weight than rounding, and what fits exactly comes back exactly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from p2med.model.quantise import from_int4, from_int8, group_of, to_int4, to_int8

SIZES = dict(rows=st.integers(1, 5), groups=st.integers(1, 4), seed=st.integers(0, 10**6))


def weights(rows: int, width: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    spread = torch.rand(rows, 1, generator=random) * 10 ** torch.randint(-4, 4, (1,), generator=random).item()
    return torch.randn(rows, width, generator=random) * spread


@given(**SIZES)
def test_int8_is_within_half_a_step_of_its_row(rows, groups, seed):
    weight = weights(rows, 16 * groups, seed)
    numbers, scale = to_int8(weight)
    assert numbers.dtype == torch.int8 and numbers.abs().max() <= 127
    assert ((from_int8(numbers, scale) - weight).abs() <= 0.5001 * scale).all()


@given(**SIZES)
def test_int4_is_within_a_step_of_its_group_and_exact_at_its_largest(rows, groups, seed):
    weight = weights(rows, 32 * groups, seed)
    packed, scale = to_int4(weight, 32)
    assert packed.shape == (rows, 16 * groups) and scale.shape == (rows, groups)
    away = (from_int4(packed, scale) - weight).abs().unflatten(1, (groups, 32))
    assert (away <= 1.0001 * scale.abs()[..., None]).all()
    assert (away.median(2).values <= 0.5001 * scale.abs()).all()
    largest = weight.unflatten(1, (groups, 32)).abs().argmax(2, keepdim=True)
    assert (away.gather(2, largest)[..., 0] <= 1e-5 * scale.abs()).all()


def test_what_4_bits_can_say_comes_back_exactly():
    numbers = torch.arange(-8, 8).repeat(4)[None].float()
    packed, scale = to_int4(numbers * 0.25, 64)
    assert scale.item() == 0.25 and from_int4(packed, scale).equal(numbers * 0.25)
    assert packed[0, 0].item() == 0x98  # -8 in the low half, -7 in the high one


def test_rows_of_zeros_stay_zeros():
    for back in (from_int8(*to_int8(torch.zeros(2, 32))), from_int4(*to_int4(torch.zeros(2, 32), 32))):
        assert back.equal(torch.zeros(2, 32))


@pytest.mark.parametrize("width, group", [(4096, 64), (96, 32), (48, 16), (40, None)])
def test_the_widest_group_that_divides_is_taken(width, group):
    assert group_of(width) == group
