"""ROUGE-L of characters: the longest common subsequence, as F1 (Lin 2004, beta = 1).

Characters, not words: the usual tokenizers drop Chinese and answer 0 without a warning.
"""

from p2med.bench.metrics._characters import characters


def score(answer: str, reference: str) -> float:
    """ROUGE-L F1 in [0, 1]; white space and letter case do not count. 1 when both are empty."""
    a, b = characters(answer), characters(reference)
    if not a or not b:
        return float(a == b)
    common = _longest_common_subsequence(a, b)
    return 2 * common / (len(a) + len(b))


def _longest_common_subsequence(a: str, b: str) -> int:
    """Length by the bit-parallel method (Hyyrö 2004): one machine word of Python integers a row."""
    where: dict[str, int] = {}
    for i, c in enumerate(a):
        where[c] = where.get(c, 0) | 1 << i
    row = (1 << len(a)) - 1
    full = row
    for c in b:
        matches = row & where.get(c, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(a) - row.bit_count()
