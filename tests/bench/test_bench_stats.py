"""The benchmark's numbers, against definitions and hand-made cases."""

import math
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2med.bench.metrics import bleu_4, exact, rouge_l
from p2med.bench.stats import auc, bootstrap_ci95, mean_ci95, micro_f1, prior_f1

TEXT = st.text("肺炎左右下叶见斑片影", max_size=30)


def plain_lcs(a: str, b: str) -> int:
    rows = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            rows[i + 1][j + 1] = rows[i][j] + 1 if x == y else max(rows[i][j + 1], rows[i + 1][j])
    return rows[-1][-1]


@given(TEXT, TEXT)
def test_rouge_l_is_the_longest_common_subsequence(a, b):
    if a and b:
        assert rouge_l.score(a, b) == pytest.approx(2 * plain_lcs(a, b) / (len(a) + len(b)))
    assert rouge_l.score(a, a) == 1.0


def test_rouge_l_sees_chinese():
    """The default tokenizer of rouge_score gives 0.0 here, silently."""
    assert rouge_l.score("右肺下叶见斑片影", "右肺下叶片状影") > 0.7


@given(TEXT, TEXT)
def test_bleu_is_between_0_and_1_and_1_for_itself(a, b):
    assert 0 <= bleu_4.score(a, b) <= 1
    assert bleu_4.score(b, b) == pytest.approx(1)


def test_a_negation_lost_is_not_exact():
    assert exact.score("支气管肺炎。", "支气管肺炎") == 1
    assert exact.score("未见胸腔积液", "见胸腔积液") == 0


def test_t_interval_of_the_papers_size():
    """t(0.975, 99) = 1.9842: with s = 1 and n = 100 the half width is 0.198 (spec 10)."""
    values = [3 + math.sqrt(99 / 100) * (1 if i % 2 else -1) for i in range(100)]
    mean, low, high = mean_ci95(values)
    assert mean == pytest.approx(3)
    assert high - mean == pytest.approx(0.19842, abs=1e-4) and mean - low == pytest.approx(0.19842, abs=1e-4)
    assert mean_ci95([]) == (None, None, None)
    assert mean_ci95([2.0]) == (2.0, None, None)


def test_auc_counts_ties_half():
    assert auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == pytest.approx(0.75)
    assert auc([0.5, 0.5], [True, False]) == 0.5
    assert auc([0.5], [True]) is None


def test_micro_f1_and_the_prior():
    a, b = frozenset("a"), frozenset("b")
    assert micro_f1([(a, a), (b, a)]) == 0.5
    assert micro_f1([(frozenset(), frozenset())]) is None
    assert prior_f1([a, a, b], [a, b]) == 0.5
    low, high = bootstrap_ci95([(a, a), (b, a)] * 20)
    assert low < 0.5 < high


def test_difflib_agrees_that_similar_texts_are_similar():
    a, b = "两肺纹理增多模糊", "两肺纹理增粗模糊"
    assert abs(rouge_l.score(a, b) - SequenceMatcher(None, a, b, autojunk=False).ratio()) < 0.01
