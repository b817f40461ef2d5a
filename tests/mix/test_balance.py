"""The samplers' laws, for every distribution of diseases."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from p2med.mix.balance import count_categories, draw, draw_stages, eligible
from p2med.mix.config import SamplerConfig

LABELS = st.lists(
    st.lists(st.sampled_from("abcdef"), max_size=3, unique=True).map(tuple), min_size=0, max_size=80
)
BOUNDS = st.tuples(st.integers(0, 15), st.integers(0, 40))


@st.composite
def samplers(draw_one):
    return SamplerConfig(
        from_categories=draw_one(st.none() | BOUNDS),
        max_per_category=draw_one(st.none() | st.integers(1, 12)),
        cap=draw_one(st.sampled_from(["maximum", "draw"])),
    )


def drawn_by(labels, config, seed=0, total=None):
    return draw(labels, count_categories(labels), config, random.Random(seed), total)


@settings(max_examples=200)
@given(labels=LABELS, config=samplers(), total=st.none() | st.integers(0, 30))
def test_every_law_of_a_draw(labels, config, total):
    chosen = drawn_by(labels, config, total=total)
    assert chosen == sorted(set(chosen)) and set(chosen) <= set(range(len(labels)))
    assert total is None or len(chosen) <= total
    assert chosen == drawn_by(labels, config, total=total)
    if config.from_categories is None and config.max_per_category is None:
        assert len(chosen) == (len(labels) if total is None else min(total, len(labels)))
        return
    n_c = count_categories(labels)
    wanted = set(eligible(n_c, config))
    assert all(wanted & set(labels[p]) for p in chosen)
    if config.max_per_category is None and total is None:
        assert chosen == [p for p, own in enumerate(labels) if wanted & set(own)]


@settings(max_examples=200)
@given(labels=LABELS, most=st.integers(1, 12))
def test_a_maximum_is_reached_but_never_by_its_own_draw_exceeded(labels, most):
    """A disease ends with at least min(n_c, most); it exceeds `most` only through diseases drawn later."""
    config = SamplerConfig(max_per_category=most)
    chosen = drawn_by(labels, config)
    held = count_categories([labels[p] for p in chosen])
    n_c = count_categories(labels)
    for label in n_c:
        assert held[label] >= min(most, n_c[label])
    order = eligible(n_c, config)
    if order:
        last = order[-1]  # nothing is drawn after the commonest, so it has no excuse
        alone = sum(last in labels[p] for p in chosen if set(labels[p]) & set(order[:-1]))
        assert held[last] <= max(most, alone)


def test_bounds_are_inclusive_and_rare_diseases_come_first():
    n_c = {"a": 40, "b": 500, "c": 39, "d": 501, "e": 40}
    assert eligible(n_c, SamplerConfig(from_categories=(40, 500))) == ["a", "e", "b"]


def test_the_literal_cap_draws_new_ones_for_each_disease():
    labels = [("rare", "common")] * 5 + [("common",)] * 20
    maximum = drawn_by(labels, SamplerConfig(max_per_category=5))
    literal = drawn_by(labels, SamplerConfig(max_per_category=5, cap="draw"))
    assert (len(maximum), len(literal)) == (5, 10)


def test_categories_are_counted_on_stage1():
    stages = {
        "stage2": {"t": SamplerConfig(from_categories=(3, 4))},
        "stage1": {"t": SamplerConfig(max_per_category=4)},
    }
    made = {"t": [("a",)] * 10 + [("b",)] * 2}
    drawn = draw_stages(stages, made, [], seed=0)
    assert len(drawn["stage1"]["t"]) == 6
    assert len(drawn["stage2"]["t"]) == 10  # a: 4 in stage 1, so inside 3..4; all 10 of it are drawn from
    other = {"x": stages["stage2"]}
    assert draw_stages(other, made, [], seed=0)["x"]["t"] == []  # without a stage1, a occurs 10 times


def test_a_stage_matches_the_total_of_its_inpatient_records():
    stages = {
        "stage1": {"out": SamplerConfig()},
        "stage2": {
            "out": SamplerConfig(from_categories=(5, 50), max_per_category=8, match_total_of="inpatient"),
            "first": SamplerConfig(),
            "chief": SamplerConfig(max_per_category=2),
        },
    }
    made = {"out": [(x,) for x in "abcde" * 10], "first": [("a",)] * 9, "chief": [("b",)] * 9}
    drawn = draw_stages(stages, made, ["first", "chief"], seed=0)
    assert len(drawn["stage2"]["first"]) + len(drawn["stage2"]["chief"]) == 11
    assert len(drawn["stage2"]["out"]) == 11
    assert Counter(made["out"][p][0] for p in drawn["stage2"]["out"]) == {"a": 8, "b": 3}


def test_another_seed_draws_others_and_the_same_seed_the_same():
    stages = {"s": {"t": SamplerConfig(max_per_category=10)}}
    made = {"t": [("a",)] * 200}
    first, again, other = (draw_stages(stages, made, [], seed) for seed in (1, 1, 2))
    assert first == again != other
