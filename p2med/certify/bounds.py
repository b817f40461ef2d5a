"""What a count of successes proves."""

from scipy.stats import beta


def lower_bound(successes: int, trials: int, confidence: float = 0.95) -> float | None:
    """The exact one-sided lower bound of a proportion; None without trials.

    300 of 300 found proves 0.9901, not 1.

    Source: Clopper and Pearson, Biometrika 26 (1934) 404.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no proportion")
    if trials == 0:
        return None
    return 0.0 if successes == 0 else float(beta.ppf(1 - confidence, successes, trials - successes + 1))
