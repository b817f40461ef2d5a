"""The meter counts what lives, and what an operation makes for itself when its numbers are of two types."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from p2med.plan.meter import Meter

COUNT = 2**20


def worst(first: torch.dtype, second: torch.dtype, write) -> int:
    """Bytes at the worst moment beyond the two tensors that an operation is given."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    given = [fake.from_tensor(torch.empty(COUNT, dtype=kind)) for kind in (first, second)]
    meter = Meter(fake, vocabulary=10)
    with meter, meter.phase("here"):
        write(*given)
    return meter.peak - sum(x.untyped_storage().nbytes() for x in given)


@pytest.mark.parametrize(
    "first, second, write, numbers",
    [
        (torch.float32, torch.float32, torch.Tensor.add_, 0),
        (torch.float32, torch.bfloat16, torch.Tensor.add_, 4),  # the second in float32
        (torch.bfloat16, torch.float32, torch.Tensor.add_, 8),  # the first, read and written
        (torch.float32, torch.float32, torch.add, 4),  # the result
        (torch.float32, torch.bfloat16, torch.add, 8),
        (torch.float32, torch.bfloat16, torch.Tensor.copy_, 0),
    ],
)
def test_numbers_of_two_types_are_brought_to_one_first(first, second, write, numbers):
    assert worst(first, second, write) == numbers * COUNT


def test_the_weights_of_many_tokens_choose_which_are_learned():
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    states = fake.from_tensor(torch.empty(64, 600, 8))
    weights = (torch.arange(64 * 600) % 3 == 0).float().reshape(64, 600)
    meter = Meter(fake, vocabulary=10)
    with meter, meter.phase("here"):
        learned = states[weights > 0]
    assert learned.shape == (64 * 200, 8)


def test_the_copies_are_real():
    """The same in resident memory: the second float32 tensor that no one asked for."""
    status = "/proc/self/status"
    try:
        clear = open("/proc/self/clear_refs", "w")
    except OSError:
        pytest.skip("the kernel does not forget a process's peak")

    def kib(name: str) -> int:
        lines = open(status).read().splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith(name))

    whole, narrow = torch.zeros(32 * COUNT), torch.ones(32 * COUNT, dtype=torch.bfloat16)
    before = kib("VmRSS:")
    with clear:
        clear.write("5")
    whole += narrow
    grown = (kib("VmHWM:") - before) * 1024
    assert grown == pytest.approx(4 * 32 * COUNT, rel=0.1)
