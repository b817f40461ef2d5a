"""Means with Student-t 95 % intervals, and the scores of a classification."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


def mean_ci95(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Mean and 95 % interval, mean ± t(0.975, n-1)·s/√n (P2Med Sec. II-A names the t-distribution).

    Returns:
      (mean, low, high); the interval is None for fewer than two values, all are None for none.
    """
    n = len(values)
    if n == 0:
        return None, None, None
    mean = float(np.mean(values))
    if n == 1:
        return mean, None, None
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def paired_ci95(
    values: Sequence[float], others: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    """Mean of values - others over the same items, in the same order, with its t-interval."""
    return mean_ci95([a - b for a, b in zip(values, others, strict=True)])


def mean_of_means_ci95(
    groups: Sequence[Sequence[float]],
) -> tuple[float | None, float | None, float | None]:
    """Mean over groups of their means, every group weighing the same, with its 95 % interval.

    Returns:
      (mean, low, high); the interval is None when a group has fewer than two values, all without groups.

    Source: variances of independent means add up; degrees of freedom after Welch (1947) and Satterthwaite.
    """
    if not groups or not all(groups):
        return None, None, None
    mean = float(np.mean([np.mean(g) for g in groups]))
    if min(len(g) for g in groups) < 2:
        return mean, None, None
    parts = [float(np.var(g, ddof=1)) / len(g) / len(groups) ** 2 for g in groups]
    total = sum(parts)
    if not total:
        return mean, mean, mean
    freedom = 1 / sum((p / total) ** 2 / (len(g) - 1) for p, g in zip(parts, groups, strict=True))
    half = float(stats.t.ppf(0.975, freedom)) * math.sqrt(total)
    return mean, mean - half, mean + half


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Area under the ROC curve by the rank sum, ties counted half; None without both classes."""
    n_positive = sum(positive)
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    ranks = stats.rankdata(scores)
    rank_sum = float(sum(r for r, p in zip(ranks, positive, strict=True) if p))
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def micro_f1(pairs: Sequence[tuple[frozenset[str], frozenset[str]]]) -> float | None:
    """Micro-averaged F1 over (said, true) label sets; None when neither side has a label."""
    hits = sum(len(said & true) for said, true in pairs)
    total = sum(len(said) + len(true) for said, true in pairs)
    return 2 * hits / total if total else None


def bootstrap_ci95(
    pairs: Sequence[tuple[frozenset[str], frozenset[str]]], seed: int = 0, rounds: int = 1000
) -> tuple[float | None, float | None]:
    """Percentile interval of micro_f1, whole answers resampled (a sum has no t-interval)."""
    if len(pairs) < 2:
        return None, None
    rng = np.random.default_rng(seed)
    draws = (micro_f1([pairs[i] for i in rng.integers(0, len(pairs), len(pairs))]) for _ in range(rounds))
    found = [d for d in draws if d is not None]
    if not found:
        return None, None
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def prior_f1(train: Sequence[frozenset[str]], true: Sequence[frozenset[str]]) -> float | None:
    """What the label prior alone reaches: the best constant answer on the training labels, scored here.

    The labels are added in order of their frequency while the constant answer's training F1 rises.
    """
    counts: dict[str, int] = {}
    for labels in train:
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
    best: frozenset[str] = frozenset()
    best_f1 = -1.0
    constant: frozenset[str] = frozenset()
    for label in sorted(counts, key=lambda x: (-counts[x], x)):
        constant = constant | {label}
        f1 = micro_f1([(constant, t) for t in train])
        if f1 is not None and f1 > best_f1:
            best, best_f1 = constant, f1
    return micro_f1([(best, t) for t in true])
