"""Near-duplicate outpatient records: MinHash proposes, exact Jaccard decides (P2Med Sec. V-A.2, V-C.1).

text ─► character 5-grams ─► 256 x 16 MinHash ─► buckets ─► pairs ─► Jaccard >= 0.85 ─► drop the later one

Characters, because the usual word pattern sees no words in Chinese and makes all records equal. 256 bands of
16 rows propose from Jaccard ~0.71 on, so the published threshold of 0.85 needs the exact test. A record is
dropped only for one that is kept: chains (a~b~c, a not ~c) lose b alone.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from rensa import RMinHash

from p2med.curate.config import DedupConfig
from p2med.schema.base import Frozen

MIN_NGRAMS = 5
"""Records with fewer are dropped (Sec. V-C.1)."""
SEED = 42
CHUNK = 512
RANK = {"bench": 0, "val": 1, "train": 2}
_ODD = np.random.default_rng(SEED).integers(0, 2**63, 4096, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


class Verdict(Frozen):
    """Why a record is dropped; `original` is the position of the kept record, -1 when there is none."""

    reason: str
    original: int


def compact(text: str) -> str:
    """NFKC and no white space, so that layout makes no difference."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def shingles(text: str, ngram: int) -> np.ndarray:
    """The set of a compact text's character n-grams, as sorted distinct uint64 hashes."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    if len(points) < ngram:
        return np.empty(0, np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(points, ngram)
    mixed = (windows * _ODD[:ngram]).sum(axis=1, dtype=np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.unique(mixed ^ (mixed >> np.uint64(29)))


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """|a and b| / |a or b| of two sorted distinct arrays; 0 for two empty ones."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / max(1, len(a) + len(b) - shared)


def judge(texts: Sequence[str], splits: Sequence[str], config: DedupConfig) -> list[Verdict | None]:
    """Decide on every record.

    Held-out records come first: bench, then val, then train, each in reading order. So a training record
    never removes a held-out one, and one that resembles a held-out record is dropped for that.

    Args:
      texts: compact texts. splits: "train", "val" or "bench" for each.

    Returns:
      For each record None (kept) or why it goes: `too_few_ngrams`, `near_duplicate` (of one in the same
      split) or `duplicate_of_bench`, `duplicate_of_val`.
    """
    sizes = np.array([len(shingles(t, config.ngram)) for t in texts], np.int64)
    verdicts: list[Verdict | None] = [
        Verdict(reason="too_few_ngrams", original=-1) if n < MIN_NGRAMS else None for n in sizes
    ]
    order = sorted((i for i, v in enumerate(verdicts) if v is None), key=lambda i: (RANK[splits[i]], i))
    ordered = [texts[i] for i in order]
    ranks = [RANK[splits[i]] for i in order]
    groups = bucket_groups(ordered, config)
    find = verified(ordered, ranks, groups, config) if config.verify else united(groups)
    for position, original in enumerate(find):
        if original is not None:
            same = ranks[position] == ranks[original]
            reason = "near_duplicate" if same else f"duplicate_of_{splits[order[original]]}"
            verdicts[order[position]] = Verdict(reason=reason, original=order[original])
    return verdicts


def bucket_groups(texts: Sequence[str], config: DedupConfig) -> list[np.ndarray]:
    """For each text the buckets (numbered over all bands) that it shares with another text: int64[...]."""
    if not texts:
        return []
    keys = np.concatenate(list(_band_keys(texts, config)))
    owners, numbers, first = [], [], 0
    for band in range(config.bands):
        _, inverse, sizes = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        shared = np.flatnonzero(sizes[inverse] > 1)
        owners.append(shared)
        numbers.append(inverse[shared] + first)
        first += len(sizes)
    owner, number = np.concatenate(owners), np.concatenate(numbers)
    by_owner = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[by_owner], np.arange(1, len(texts)))
    return np.split(number[by_owner], cuts)


def _band_keys(texts: Sequence[str], config: DedupConfig) -> Iterator[np.ndarray]:
    """uint64[CHUNK, bands]: one key a band; the 4,096 hashes themselves are not kept."""
    hashes = config.bands * config.rows
    factors = np.random.default_rng(SEED).integers(0, 2**63, config.rows, dtype=np.uint64) * np.uint64(2)
    for start in range(0, len(texts), CHUNK):
        sets = [shingles(t, config.ngram) for t in texts[start : start + CHUNK]]
        offsets = np.cumsum([0, *map(len, sets)]).astype(np.uint64)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(sets), offsets, hashes, SEED)
        signature = np.array(matrix.to_rows(), np.uint64).reshape(len(sets), config.bands, config.rows)
        yield (signature * (factors + np.uint64(1))).sum(axis=2, dtype=np.uint64)


def verified(
    texts: Sequence[str], ranks: Sequence[int], groups: Sequence[np.ndarray], config: DedupConfig
) -> Iterator[int | None]:
    """For each text the kept, earlier text with Jaccard >= min_jaccard that it repeats, or None."""
    kept_in: dict[int, list[int]] = {}

    @lru_cache(maxsize=100_000)
    def shingled(position: int) -> np.ndarray:
        return shingles(texts[position], config.ngram)

    for position, buckets in enumerate(groups):
        shares: dict[int, int] = {}
        for bucket in buckets.tolist():
            for other in kept_in.get(bucket, ()):
                shares[other] = shares.get(other, 0) + 1
        # The most alike first: a duplicate is then found at the first try.
        likely = sorted(shares, key=lambda o: (ranks[o], -shares[o], o))
        own = shingled(position)
        original = next((o for o in likely if jaccard(own, shingled(o)) >= config.min_jaccard), None)
        if original is None:
            for bucket in buckets.tolist():
                kept_in.setdefault(bucket, []).append(position)
        yield original


def united(groups: Sequence[np.ndarray]) -> Iterator[int | None]:
    """The paper's literal reading: texts that share a bucket, directly or by a chain, are one cluster.

    Yields for each text the first of its cluster, or None for the first itself.
    """
    parent = list(range(len(groups)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    first_in: dict[int, int] = {}
    for position, buckets in enumerate(groups):
        for bucket in buckets.tolist():
            a, b = root(first_in.setdefault(bucket, position)), root(position)
            parent[max(a, b)] = min(a, b)
    for position in range(len(groups)):
        yield root(position) if root(position) != position else None
