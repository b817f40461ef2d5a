"""Near-duplicate outpatient records: MinHash proposes, exact Jaccard decides (P2Med Sec. V-A.2, V-C.1).

text ─► set of 5-grams (shingles) ─► one of equal sets ─► MinHash (minhash) ─► Jaccard >= 0.85 (decide)

Which one is kept: held-out before training, then the record with the most distinct n-grams, then by hashes of
the text and of its id. In this order a record is kept unless it repeats a kept one, so each that goes has a
kept record with Jaccard >= 0.85, no two such records are kept, and chains (a~b~c, a not ~c) lose b alone when
it comes after a. Neither the order of the input nor the number of threads can change the result.

256 bands of 16 rows propose from Jaccard 0.71 on, so the published threshold needs the exact test; without it
(`verify: false`) whole chains of buckets become one cluster.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from p2med.curate.config import DedupConfig
from p2med.curate.decide import compare, decided, united
from p2med.curate.minhash import Corpus, buckets, in_blocks
from p2med.curate.shingles import measure, rule

MIN_NGRAMS = 5
"""Records with fewer distinct ones are dropped (Sec. V-C.1)."""
BITS = {True: 16, False: 32}
"""Of a MinHash, by `verify`: what is checked may be proposed coarsely."""
BLOCK = 2048
RANK = {"bench": 0, "val": 1, "train": 2}


class Decisions(NamedTuple):
    """What becomes of each record, in the order of the input.

    `few` bool[records]: fewer than MIN_NGRAMS. `original` int64[records]: the kept record that this one
    repeats, -1 for none. `jaccard` float64[records]: with that record, 0 without.
    """

    few: np.ndarray
    original: np.ndarray
    jaccard: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        return ~self.few & (self.original < 0)


class Measures(NamedTuple):
    """Of each record `lengths` (no fewer than its tokens) and `sizes` (distinct n-grams), int64[records];
    `prints` and `others` (fingerprints of the set) and `raws` (hash of the bytes), uint64[records].
    """

    lengths: np.ndarray
    sizes: np.ndarray
    prints: np.ndarray
    others: np.ndarray
    raws: np.ndarray


def measured(text: np.ndarray, offsets: np.ndarray, config: DedupConfig, pool: Executor) -> Measures:
    """Read every text once."""
    n = len(offsets) - 1
    how = rule(config.ngram, config.unit, config.digits)
    out = Measures(*(np.zeros(n, t) for t in (np.int64, np.int64, np.uint64, np.uint64, np.uint64)))
    in_blocks(pool, n, BLOCK, partial(measure, text, offsets[:-1], offsets[1:], how, *out))
    return out


def deduplicate(
    texts: pa.Array | pa.ChunkedArray | Sequence[str | None],
    config: DedupConfig,
    ranks: np.ndarray | None = None,
    ids: Sequence[str] | None = None,
    threads: int = 0,
) -> Decisions:
    """Decide on every record.

    Args:
      texts: strings; null is an empty text. ranks: int[records], lower is kept rather; equal without.
      ids: settle which of two equal texts is kept; without them the earlier. threads: 0 for one a core.
    """
    text, offsets = buffers(texts)
    begin, end = offsets[:-1], offsets[1:]
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        lengths, sizes, prints, others, raws = measured(text, offsets, config, pool)
        order = preference(sizes, prints, others, raws, ranks, ids)
        order = order[sizes[order] >= MIN_NGRAMS]
        lead = _first_of_equal(prints[order], others[order])
        leaders = np.flatnonzero(lead == np.arange(len(order)))
        rows = order[leaders]
        longest = int(lengths.max(initial=0))
        how = rule(config.ngram, config.unit, config.digits)
        corpus = Corpus(text, begin[rows], end[rows], sizes[rows], longest, how)
        proposed = buckets(corpus, config.bands, config.rows, BITS[config.verify], pool)
        if config.verify:
            repeats = decided(corpus, proposed, config.min_jaccard, pool)
        else:
            repeats = np.arange(len(rows))
            united(proposed.members, proposed.starts, repeats)
            repeats[repeats == np.arange(len(rows))] = -1
        del proposed
        return _spread(corpus, repeats, order, leaders, lead, sizes, pool)


def verdict(decisions: Decisions, n: int, splits: Sequence[str]) -> tuple[str, int]:
    """(reason, position of the kept record or -1) of a record that goes, with its split in view.

    Reasons: `too_few_ngrams`, `near_duplicate` (of one in the same split), `duplicate_of_bench`,
    `duplicate_of_val`. Ranks by RANK see to it that a training record never removes a held-out one.
    """
    if decisions.few[n]:
        return "too_few_ngrams", -1
    original = int(decisions.original[n])
    same = splits[n] == splits[original]
    return "near_duplicate" if same else f"duplicate_of_{splits[original]}", original


def buffers(texts: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """(uint8[bytes], offsets int64[records + 1]); without a copy when they are one large_string array."""
    array = texts if isinstance(texts, (pa.Array, pa.ChunkedArray)) else _array(texts)
    if array.type != pa.large_string():
        array = array.cast(pa.large_string())
    if array.null_count:
        array = array.fill_null("")
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if not len(array):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = array.buffers()
    text = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
    return text, np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]


def _array(texts: Sequence[str | None]) -> pa.Array:
    """As one array; from bytes, because Arrow makes a string keep its UTF-8 for good, twice what it took."""
    data, ends = bytearray(), np.zeros(len(texts) + 1, np.int64)
    for n, text in enumerate(texts, 1):
        data += (text or "").encode()
        ends[n] = len(data)
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(data))


def gathered(chunks: list[pa.Array]) -> pa.LargeStringArray:
    """The chunks as one array; each is taken from the list, so that the texts are never in memory twice."""
    data, ends = bytearray(), [np.zeros(1, np.int64)]
    while chunks:
        text, offsets = buffers(chunks.pop(0))
        ends.append(offsets[1:] - offsets[0] + len(data))
        data += memoryview(text[offsets[0] : offsets[-1]])
        del text
        pa.default_memory_pool().release_unused()
    offsets = np.concatenate(ends)
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def preference(
    sizes: np.ndarray,
    prints: np.ndarray,
    others: np.ndarray,
    raws: np.ndarray,
    ranks: np.ndarray | None,
    ids: Sequence[str] | None,
) -> np.ndarray:
    """The records from the most to the least preferred; equal sets of the same rank stand together."""
    keys = [raws, others, prints, -sizes]
    if ids is not None:
        keys.insert(0, np.array([xxhash.xxh3_64_intdigest(i.encode()) for i in ids], np.uint64))
    if ranks is not None:
        keys.append(np.asarray(ranks))
    return np.lexsort(keys)


def _first_of_equal(prints: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each record the first with the same set of n-grams: int64[records]."""
    n = len(prints)
    by = np.lexsort((others, prints))  # stable: the first of equals comes first
    new = np.ones(n, np.bool_)
    new[1:] = (prints[by][1:] != prints[by][:-1]) | (others[by][1:] != others[by][:-1])
    first = np.empty(n, np.int64)
    first[by] = by[np.flatnonzero(new)][np.cumsum(new) - 1]
    return first


def _spread(
    corpus: Corpus,
    repeats: np.ndarray,
    order: np.ndarray,
    leaders: np.ndarray,
    lead: np.ndarray,
    sizes: np.ndarray,
    pool: ThreadPoolExecutor,
) -> Decisions:
    """From distinct sets back to the records of the input.

    `repeats` int64[distinct]; `leaders` int64[distinct], places in `order`; `lead` int64[order].
    """
    ones = np.flatnonzero(repeats >= 0)
    ones = ones[
        np.argsort(repeats[ones], kind="stable")
    ]  # the kept one's set is made once for all its copies
    alike = np.zeros(len(repeats))
    found, kept = np.zeros(len(ones)), repeats[ones]
    in_blocks(pool, len(ones), BLOCK, lambda a, b: compare(corpus, kept[a:b], ones[a:b], 0.0, found[a:b]))
    alike[ones] = found
    place = np.empty(len(order), np.int64)
    place[leaders] = np.arange(len(leaders))
    distinct = place[lead]
    whole = repeats[distinct]
    follows = (whole < 0) & (lead != np.arange(len(order)))
    whole[follows] = distinct[follows]
    original, jaccard = np.full(len(sizes), -1, np.int64), np.zeros(len(sizes))
    gone = whole >= 0
    original[order[gone]] = order[leaders[whole[gone]]]
    jaccard[order] = np.where(follows, 1.0, alike[distinct])
    return Decisions(sizes < MIN_NGRAMS, original, jaccard)
