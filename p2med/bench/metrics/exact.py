"""Equal or not, apart from white space, width, letter case and the closing full stop."""

from p2med.bench.metrics._characters import characters


def score(answer: str, reference: str) -> float:
    """1.0 when both say the same, else 0.0."""
    return float(characters(answer).rstrip("。.") == characters(reference).rstrip("。."))
