"""Differences and their intervals: over the same questions, 0 for the same answers, of the right width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from p2med.ablate.compare import AVERAGE, beyond_chance, cells, scores_of, tasks_of
from p2med.ablate.config import Words
from p2med.ablate.rows import Row
from p2med.bench.stats import mean_ci95, mean_of_means_ci95, paired_ci95

KEYS = [("xray_report", "impression", "accuracy"), ("ct_report", "impression", "accuracy")]
SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


def row(name: str, values: dict) -> Row:
    return Row(name, Words(zh=name, en=name), (), values)


def rated(seed: int, n: int = 40, shift: float = 0.0) -> dict:
    random = np.random.default_rng(seed)
    return {key: {(f"c{i}", 0): float(random.random() + shift) for i in range(n)} for key in KEYS}


@given(SCORES)
def test_the_same_answers_differ_by_nothing(values):
    assert paired_ci95(values, values) == (0.0, 0.0, 0.0)
    assert mean_of_means_ci95([[0.0] * len(values)] * 3) == (0.0, 0.0, 0.0)


def test_the_paired_interval_is_that_of_the_paired_t_test():
    random = np.random.default_rng(0)
    a, b = random.random(30), random.random(30)
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert paired_ci95(a.tolist(), b.tolist())[1:] == pytest.approx((interval.low, interval.high))


@given(SCORES)
def test_a_mean_of_one_mean_is_that_mean(values):
    assert mean_of_means_ci95([values]) == pytest.approx(mean_ci95(values), abs=1e-9)


def test_two_groups_have_welchs_interval():
    random = np.random.default_rng(1)
    a, b = random.random(9), 3 * random.random(25)
    # The mean of a and -b's means is half of their difference, whose interval scipy computes.
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = mean_of_means_ci95([a.tolist(), (-b).tolist()])
    assert found[1:] == pytest.approx((interval.low / 2, interval.high / 2))


def test_identical_rows_have_intervals_that_hold_0_and_a_worse_one_does_not():
    tasks = tasks_of([k[0] for k in KEYS])
    full = row("full", rated(0))
    same = cells(full, row("same", rated(0)), tasks)
    assert all(c.difference_ci95_low <= 0 <= c.difference_ci95_high for c in same)
    assert beyond_chance(same) == (0, 0, 2)
    worse = cells(full, row("worse", rated(0, shift=-0.2)), tasks)
    assert beyond_chance(worse) == (2, 0, 2)
    assert [c.difference for c in worse] == pytest.approx([-0.2] * 3)
    assert worse[-1].task == AVERAGE and worse[-1].n == 2


def test_only_questions_that_both_answered_are_paired_and_a_missing_task_has_no_cell():
    tasks = tasks_of([k[0] for k in KEYS])
    full, other = row("full", rated(0)), rated(0, n=25)
    del other[KEYS[1]]
    other[KEYS[0]][("another", 0)] = 0.5
    found = cells(full, row("other", other), tasks)
    assert {c.task for c in found} == {"xray_report", AVERAGE}
    assert (found[0].n, found[0].paired, found[0].difference) == (26, 25, 0.0)


def test_the_tasks_stand_in_the_papers_order_with_22_scores():
    tasks = tasks_of(["chief_round_record", "ct_report", "classification", "xray_report"])
    assert list(tasks) == ["xray_report", "ct_report", "chief_round_record", "classification"]
    paper = tasks_of(
        ["xray_report", "ct_report", "outpatient_record", "first_course_record"]
        + ["attending_round_record", "chief_round_record"]
    )
    assert sum(len(scores_of(t)) for t in paper.values()) == 22
