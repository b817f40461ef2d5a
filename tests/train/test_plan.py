"""Batches: one kind and task each, the same for the same seed, drawn as often as the weights say."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2med.errors import RecipeError
from p2med.train.config import StageConfig
from p2med.train.examples import Example
from p2med.train.plan import Plan, learning_rate


def example(kind: str, task: str, length: int) -> Example:
    return Example((kind, task), np.zeros(length, np.int32), np.ones(length, bool), (), (), (), (), ())


def stage(**changes) -> StageConfig:
    return StageConfig(
        **{"stage": "s", "learn": ("llm",), "lr": 1e-3, "epochs": 2, "batch_size": 4, **changes}
    )


KINDS = [("film", "xray_report"), ("volume", "ct_report"), ("text", "outpatient_record")]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(2, 90)), min_size=1, max_size=60),
    st.integers(0, 5),
)
def test_batches_never_mix_and_every_epoch_sees_all(kinds, seed):
    examples = [example(*kind, length) for kind, length in kinds]
    plan = Plan(examples, stage(seed=seed))
    assert plan.steps == 2 * plan.steps_per_epoch
    for epoch in range(2):
        seen: Counter[int] = Counter()
        for step in range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch):
            batch = plan.batch(step)
            assert len({examples[i].group for i in batch}) == 1 and 1 <= len(batch) <= 4
            seen.update(batch)
        assert seen == Counter(range(len(examples)))


def test_the_plan_depends_on_seed_and_step_only():
    examples = [example(*KINDS[n % 3], 5 + n) for n in range(40)]
    forward, other = Plan(examples, stage()), Plan(examples, stage(seed=1))
    steps = range(forward.steps)
    in_order = [forward.batch(s) for s in steps]
    assert in_order == [Plan(examples, stage()).batch(s) for s in reversed(steps)][::-1]
    assert in_order != [other.batch(s) for s in steps]


def test_weights_draw_more_or_nothing_more():
    examples = [example("film", "xray_report", 9)] * 10 + [example("text", "outpatient_record", 9)] * 10
    plan = Plan(examples, stage(task_weights={"xray_report": 2.5}, epochs=1))
    seen = Counter(i for s in range(plan.steps) for i in plan.batch(s))
    assert sum(seen[i] for i in range(10)) == 25 and all(2 <= seen[i] <= 3 for i in range(10))
    assert all(seen[i] == 1 for i in range(10, 20))


def test_similar_lengths_share_a_batch():
    lengths = np.random.default_rng(0).integers(5, 500, 400)
    examples = [example("text", "t", int(n)) for n in lengths]
    plan = Plan(examples, stage(epochs=1, batch_size=8))
    padded = sum(max(lengths[i] for i in plan.batch(s)) * len(plan.batch(s)) for s in range(plan.steps))
    assert padded < 1.15 * lengths.sum()


def test_no_example_is_an_error():
    with pytest.raises(RecipeError, match="stage s: the mix leaves no conversation"):
        Plan([], stage())


def test_the_rate_warms_up_and_falls_as_a_cosine():
    s = stage(lr=1.0, warmup_ratio=0.1)
    rates = [learning_rate(n, 100, s) for n in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5) and rates[99] < 1e-3
    assert all(a >= b for a, b in zip(rates[9:], rates[10:], strict=False))
