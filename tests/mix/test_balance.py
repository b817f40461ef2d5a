"""The samplers' laws, for every distribution of diseases."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from p2med.mix.balance import Made, count_categories, draw, draw_stages, eligible
from p2med.mix.config import SamplerConfig

LABELS = st.lists(
    st.lists(st.sampled_from("abcdef"), max_size=3, unique=True).map(tuple), min_size=0, max_size=80
)
BOUNDS = st.tuples(st.integers(0, 15), st.integers(0, 40)).map(lambda b: (min(b), max(b)))


@st.composite
def samplers(draw_one):
    return SamplerConfig(
        from_categories=draw_one(st.none() | BOUNDS),
        max_per_category=draw_one(st.none() | st.integers(1, 12)),
        cap=draw_one(st.sampled_from(["maximum", "draw"])),
    )


def made_of(labels) -> Made:
    return Made([f"c{n}" for n in range(len(labels))], list(labels))


def drawn_by(labels, config, seed=0, total=None):
    return draw(made_of(labels), count_categories(labels), config, str(seed), total)


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
@given(labels=LABELS, most=st.integers(1, 12), bounds=st.none() | BOUNDS)
def test_under_the_strict_reading_no_eligible_disease_passes_its_cap(labels, most, bounds):
    config = SamplerConfig(max_per_category=most, from_categories=bounds)
    held = count_categories([labels[p] for p in drawn_by(labels, config)])
    n_c = count_categories(labels)
    assert all(held[c] <= most for c in eligible(n_c, config))


@settings(max_examples=200)
@given(labels=LABELS, most=st.integers(1, 12), bounds=st.none() | BOUNDS)
def test_under_the_strict_reading_nothing_more_could_be_drawn(labels, most, bounds):
    """What is left out has a disease that is full: the cap never costs more than it must."""
    config = SamplerConfig(max_per_category=most, from_categories=bounds)
    chosen = drawn_by(labels, config)
    held = count_categories([labels[p] for p in chosen])
    wanted = set(eligible(count_categories(labels), config))
    for p in set(range(len(labels))) - set(chosen):
        own = wanted & set(labels[p])
        assert not own or any(held[c] == most for c in own)


@settings(max_examples=200)
@given(labels=LABELS, most=st.integers(1, 12))
def test_the_literal_reading_draws_up_to_the_cap_of_new_ones_for_each(labels, most):
    strict = drawn_by(labels, SamplerConfig(max_per_category=most))
    literal = drawn_by(labels, SamplerConfig(max_per_category=most, cap="draw"))
    n_c = count_categories(labels)
    held = count_categories([labels[p] for p in literal])
    assert len(literal) <= most * len(n_c) and len(literal) >= len(strict)
    assert all(held[c] >= min(most, n_c[c]) for c in n_c)


@settings(max_examples=100)
@given(labels=LABELS, config=samplers(), total=st.none() | st.integers(0, 30), shuffle=st.randoms())
def test_a_draw_does_not_depend_on_the_order_of_reading(labels, config, total, shuffle):
    made = made_of(labels)
    order = list(range(len(labels)))
    shuffle.shuffle(order)
    mixed = Made([made.ids[p] for p in order], [made.diseases[p] for p in order])
    n_c = count_categories(labels)
    first = {made.ids[p] for p in draw(made, n_c, config, "salt", total)}
    assert first == {mixed.ids[p] for p in draw(mixed, n_c, config, "salt", total)}


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
    made = {"t": made_of([("a",)] * 10 + [("b",)] * 2)}
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
    out = [(x,) for x in "abcde" * 10]
    made = {"out": made_of(out), "first": made_of([("a",)] * 9), "chief": made_of([("b",)] * 9)}
    drawn = draw_stages(stages, made, ["first", "chief"], seed=0)
    assert len(drawn["stage2"]["first"]) + len(drawn["stage2"]["chief"]) == 11
    assert len(drawn["stage2"]["out"]) == 11
    assert Counter(out[p][0] for p in drawn["stage2"]["out"]) == {"a": 8, "b": 3}


def test_another_seed_draws_others_and_the_same_seed_the_same():
    stages = {"s": {"t": SamplerConfig(max_per_category=10)}}
    made = {"t": made_of([("a",)] * 200)}
    first, again, other = (draw_stages(stages, made, [], seed) for seed in (1, 1, 2))
    assert first == again != other
