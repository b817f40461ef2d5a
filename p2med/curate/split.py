"""Who is trained on and who is held out: by patient, so that no child is on both sides."""

import hashlib
from collections.abc import Iterable

from p2med.curate.config import SplitConfig

HELD_OUT_FIRST = ("bench", "val", "train")
"""Where one case of a patient is preset to a split, the first of these wins for all of his cases."""


def assign(cases: Iterable[tuple[str, str | None]], config: SplitConfig) -> dict[str, str]:
    """Give every patient one split.

    Args:
      cases: patient_key and the source's preset split (None: free) of every case.

    Returns:
      patient_key -> "train", "val" or "bench". A free patient's split depends on the seed and on his key
      alone, so it does not change when other patients come or go.
    """
    return {key: split or draw(key, config) for key, split in preset_of(cases).items()}


def preset_of(cases: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    """patient_key -> the split that the source gave him, None for a free patient."""
    preset: dict[str, str | None] = {}
    for patient_key, split in cases:
        known = preset.setdefault(patient_key, None)
        given = [s for s in HELD_OUT_FIRST if s in (known, split)]
        preset[patient_key] = given[0] if given else None
    return preset


def draw(patient_key: str, config: SplitConfig) -> str:
    """The split of a patient without a preset one."""
    digest = hashlib.sha256(f"{config.seed}/{patient_key}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < config.bench:
        return "bench"
    return "val" if position < config.bench + config.val else "train"


def leaks(cases: Iterable[tuple[str, str | None]]) -> int:
    """How many patients are in more than one split; a finished folder has none."""
    splits: dict[str, set[str | None]] = {}
    for patient_key, split in cases:
        splits.setdefault(patient_key, set()).add(split)
    return sum(len(s) > 1 for s in splits.values())
