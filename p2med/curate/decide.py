"""Decide on what the buckets propose: by exact Jaccard, or as the paper's clusters.

Records stand in the order of preference: the first is kept, the next is kept unless it repeats a kept one,
and so on. `decided` finds that result without comparing all pairs of a bucket, in rounds:

1. assume that all are kept; each looks for a kept one before it that it repeats, and stops at the first;
2. walk down the order with the pairs found so far: who repeats a kept one goes;
3. until a round finds nothing: no two kept records of a bucket then resemble each other, and each that went
   repeats a kept one before it. Only one choice has both properties, that of the walk with all pairs.
"""

import itertools
from concurrent.futures import Executor
from functools import partial

import numpy as np

from p2med.curate.minhash import Buckets, Corpus, in_blocks
from p2med.curate.shingles import compiled, gram, mask_for, ngrams, place_of, scratch, spelled_tokens

BLOCK = 1024


@compiled
def _shared(corpus, row, tokens, table, mask, hits, turn, need):
    """How many distinct n-grams of a record stand in the table; a number below `need` for fewer than that."""
    odd = corpus.rule.odd
    count = spelled_tokens(corpus.text, corpus.begin[row], corpus.end[row], corpus.rule, tokens)
    shared, left = 0, count - len(odd) + 1
    for first in range(left):
        if shared + left - first < need:
            break
        place = place_of(gram(tokens, first, odd), table, mask)
        if table[place] != 0 and hits[place] != turn:
            hits[place] = turn
            shared += 1
    return shared


@compiled
def compare(corpus, ones, others, min_jaccard, jaccards):
    """Jaccard of the pairs (ones[k], others[k]), sorted by `ones`; some value below min_jaccard for less."""
    tokens, table = scratch(corpus.longest)
    hits, out = np.zeros(len(table), np.int64), np.empty(len(tokens), np.uint64)
    loaded, mask = -1, mask_for(0)
    for k in range(len(ones)):
        a, b = ones[k], others[k]
        if a != loaded:
            loaded = a
            _, mask = ngrams(corpus.text, corpus.begin[a], corpus.end[a], corpus.rule, (tokens, table), out)
        both = corpus.sizes[a] + corpus.sizes[b]
        need = np.int64(min_jaccard / (1 + min_jaccard) * both)
        shared = _shared(corpus, b, tokens, table, mask, hits, k + 1, need)
        jaccards[k] = shared / (both - shared)


@compiled
def _scan(corpus, buckets, min_jaccard, round_number, kept, added, clean, found, first, last):
    """For each kept record of a block: found[r] = a kept one before it that it repeats, or -1."""
    tokens, table = scratch(corpus.longest)
    sizes = corpus.sizes
    hits, out = np.zeros(len(table), np.int64), np.empty(len(tokens), np.uint64)
    seen = np.full(last, -1, np.int32)
    turn = 0
    for r in range(first, last):
        found[r] = -1
        if not kept[r]:
            continue
        mask, loaded = np.uint64(0), False
        for o in range(buckets.owned_starts[r], buckets.owned_starts[r + 1]):
            bucket = buckets.owned[o]
            for k in range(buckets.starts[bucket], buckets.starts[bucket + 1]):
                m = buckets.members[k]
                if m >= r:
                    break
                # What was compared in an earlier round and has been kept since need not be compared again.
                if not kept[m] or seen[m] == r or added[m] <= clean[r]:
                    continue
                seen[m] = r
                small, large = min(sizes[r], sizes[m]), max(sizes[r], sizes[m])
                if small < min_jaccard * large * 0.999999:
                    continue
                if not loaded:
                    loaded, begin, end = True, corpus.begin[r], corpus.end[r]
                    _, mask = ngrams(corpus.text, begin, end, corpus.rule, (tokens, table), out)
                turn += 1
                need = np.int64(min_jaccard / (1 + min_jaccard) * (small + large))
                shared = _shared(corpus, m, tokens, table, mask, hits, turn, need)
                if shared / (small + large - shared) >= min_jaccard:
                    found[r] = m
                    break
            if found[r] >= 0:
                break
        if found[r] < 0:
            clean[r] = round_number


@compiled
def walk(later, earlier, kept, original):
    """Keep each record that repeats no kept one; pairs sorted by the later record, then the earlier."""
    kept[:] = True
    original[:] = -1
    for k in range(len(later)):
        if kept[earlier[k]] and original[later[k]] < 0:
            kept[later[k]] = False
            original[later[k]] = earlier[k]


def decided(corpus: Corpus, buckets: Buckets, min_jaccard: float, pool: Executor) -> np.ndarray:
    """original int64[records]: the kept record that each repeats, -1 for a kept one."""
    n = len(corpus.sizes)
    kept, original = np.ones(n, np.bool_), np.full(n, -1, np.int64)
    added, clean = np.zeros(n, np.int32), np.full(n, -1, np.int32)
    found = np.full(n, -1, np.int32)
    pairs = np.empty(0, np.uint64)
    block = max(BLOCK, n // 256)  # each job marks what it has seen in an array of all records
    for round_number in itertools.count():
        common = (corpus, buckets, min_jaccard, round_number, kept, added, clean)
        in_blocks(pool, n, block, partial(_scan, *common, found))
        later = np.flatnonzero(found >= 0)
        if not len(later):
            return original
        new = (later.astype(np.uint64) << np.uint64(32)) | found[later].astype(np.uint64)
        pairs = np.sort(np.concatenate([pairs, new]))
        before = kept.copy()
        later_of, earlier_of = pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)
        walk(later_of.astype(np.int64), earlier_of.astype(np.int64), kept, original)
        added[kept & ~before] = round_number + 1
    raise AssertionError  # count() has no end


@compiled
def _root(parent, r):
    while parent[r] != r:
        parent[r] = parent[parent[r]]
        r = parent[r]
    return r


@compiled
def united(members, starts, parent):
    """The paper's literal reading: who shares a bucket, directly or by a chain, is one cluster.

    Args:
      parent: int64[records], ascending numbers; becomes the first record of each one's cluster.
    """
    for bucket in range(len(starts) - 1):
        for k in range(starts[bucket] + 1, starts[bucket + 1]):
            a, b = _root(parent, members[starts[bucket]]), _root(parent, members[k])
            parent[max(a, b)] = min(a, b)
    for r in range(len(parent)):
        parent[r] = _root(parent, r)
