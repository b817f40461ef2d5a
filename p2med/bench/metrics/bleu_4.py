"""BLEU-4 of characters for one sentence, add-one smoothed above unigrams (Lin and Och 2004)."""

import math
from collections import Counter

from p2med.bench.metrics._characters import characters

ORDERS = 4


def score(answer: str, reference: str) -> float:
    """Sentence BLEU-4 in [0, 1]; 0 for an empty answer."""
    a, b = characters(answer), characters(reference)
    if not a or not b:
        return float(a == b)
    log_precision = 0.0
    for n in range(1, ORDERS + 1):
        said = Counter(a[i : i + n] for i in range(len(a) - n + 1))
        true = Counter(b[i : i + n] for i in range(len(b) - n + 1))
        hits, total = sum((said & true).values()), sum(said.values())
        smooth = 0 if n == 1 else 1
        if hits + smooth == 0:
            return 0.0
        log_precision += math.log((hits + smooth) / (total + smooth)) / ORDERS
    brevity = min(0.0, 1 - len(b) / len(a))
    return math.exp(log_precision + brevity)
