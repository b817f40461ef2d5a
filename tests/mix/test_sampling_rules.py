"""The recipe with the paper's numbers: each stage holds what Sec. V-A says, on data of the paper's shape."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from p2med.mix.balance import Made, categories, draw_stages, eligible
from p2med.mix.config import SamplerConfig
from p2med.recipe import read_recipe

RECIPE = read_recipe(Path(__file__).parents[2] / "recipes" / "paper.yaml").mix
INPATIENT = ("first_course_record", "attending_round_record", "chief_round_record")
SIZES = {"xray_report": 6000, "ct_report": 230, "outpatient_record": 60_000} | dict.fromkeys(INPATIENT, 900)


@pytest.fixture(scope="module")
def made():
    """A tenth of the paper; diseases by a power law, one to three a record."""
    rng = np.random.default_rng(0)
    found = {}
    for task, size in SIZES.items():
        share = 1 / np.arange(1, 91) ** 1.25
        ill = rng.choice(90, (size, 3), p=share / share.sum())
        many = rng.integers(1, 4, size)
        labels = [tuple(dict.fromkeys(f"d{d}" for d in row[:n])) for row, n in zip(ill, many, strict=True)]
        found[task] = Made([f"{task}/{n}" for n in range(size)], labels)
    return found


def held(made, task, positions):
    return Counter(d for labels in made[task].labels(positions) for d in labels)


@pytest.mark.parametrize("cap", ["maximum", "draw"])
def test_each_stage_is_the_papers(made, cap):
    stages = {
        stage: {
            task: config.model_copy(update={"cap": cap}) if config.max_per_category else config
            for task, config in tasks.items()
        }
        for stage, tasks in RECIPE.stages.items()
    }
    drawn = draw_stages(stages, made, INPATIENT, RECIPE.seed)
    assert {t: len(p) for t, p in drawn["stage1"].items()} == {t: SIZES[t] for t in list(SIZES)[:3]}
    assert {t: len(drawn["stage2"][t]) for t in ("xray_report", "ct_report", *INPATIENT)} == {
        t: SIZES[t] for t in SIZES if t != "outpatient_record"
    }
    assert len(drawn["stage2"]["outpatient_record"]) == 2700  # as many as inpatient records
    assert len(drawn["stage3"]["ct_report"]) == SIZES["ct_report"]
    for stage, tasks in drawn.items():
        for task, positions in tasks.items():
            config = stages[stage][task]
            assert len(set(positions)) == len(positions)
            n_c = categories(made, drawn, stage, task)
            wanted = eligible(n_c, config)
            if config.from_categories is None:
                continue
            low, high = config.from_categories
            assert wanted and all(low <= n_c[d] <= high for d in wanted)
            counts = held(made, task, positions)
            if config.max_per_category is None:  # all of every eligible disease
                assert all(counts[d] == n_c[d] for d in wanted)
            elif cap == "maximum":
                assert all(counts[d] <= config.max_per_category for d in wanted)
            elif stage == "stage3":  # new ones for each: the multi-labelled come on top
                assert max(counts[d] for d in wanted) > config.max_per_category
    assert set(drawn) == set(RECIPE.stages)


def test_stage_3_is_more_even_than_stage_1(made):
    drawn = draw_stages(RECIPE.stages, made, INPATIENT, 0)
    for task in ("xray_report", "outpatient_record"):
        wanted = eligible(categories(made, drawn, "stage3", task), RECIPE.stages["stage3"][task])
        before = held(made, task, drawn["stage1"][task])
        after = held(made, task, drawn["stage3"][task])
        spread = [max(c[d] for d in wanted) / min(c[d] for d in wanted) for c in (before, after)]
        assert spread[1] < spread[0] / 2


def test_bounds_may_not_be_crossed():
    with pytest.raises(ValueError, match="from_categories"):
        SamplerConfig(from_categories=(5, 4))
