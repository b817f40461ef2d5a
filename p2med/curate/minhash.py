"""MinHash in bands: records that share one band's hashes share a bucket and are proposed as near-duplicates.

n-gram hashes x (odd) ─► least and greatest a * x mod 2^bits for odd factors a ─► a key a band ─► buckets

Multiplying by an odd number permutes the odd numbers. The greatest is the least of the reversed order, so
half as many factors as hashes will do; a multiply, a minimum and a maximum are all that the inner loop does.
16 bits are twice as fast as 32 and propose a few pairs more, as different n-grams may get one number: right
for what is checked after. Keys are made for some bands at a time, to bound the memory.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

import numpy as np

from p2med.curate.shingles import Rule, compiled, gram, mixed, odd_numbers, scratch, spelled_tokens
from p2med.errors import P2MedError

KEY_BYTES = 1 << 29
"""Room for band keys, or half as much as the texts take."""
BLOCK = 512
"""Records a job of a thread."""
PAD = 64
"""n-grams are repeated up to a multiple of this: no rest is left to slow single steps."""


class Buckets(NamedTuple):
    """Buckets of two records or more, over all bands.

    `members` int32[M]: records, ascending within a bucket; `starts` int64[buckets + 1]. The same the other
    way round: `owned` int32[M] holds the buckets of each record in the order of the bands, `owned_starts`
    int64[records + 1].
    """

    members: np.ndarray
    starts: np.ndarray
    owned: np.ndarray
    owned_starts: np.ndarray


class Corpus(NamedTuple):
    """Records with n-grams, in the order of preference.

    `text` uint8[...], UTF-8; record r has the bytes begin[r] to end[r], both int64[records]. `sizes`
    int64[records]: distinct n-grams. `longest`: no record has more tokens. `rule` reads the bytes.
    """

    text: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    sizes: np.ndarray
    longest: int
    rule: Rule


def _ends_of(kind: type) -> Callable:
    @compiled
    def ends(x, factors, out):
        """The least and the greatest of factors[p] * x; four at a time, because a load costs as much as one.

        out: [2 * factors], four least and then four greatest.
        """
        for p in range(0, len(factors), 4):
            a, b, c, d = factors[p], factors[p + 1], factors[p + 2], factors[p + 3]
            m = n = o = q = kind(0xFFFFFFFF)
            r = s = t = u = kind(0)
            for i in range(len(x)):
                e, f, g, h = kind(a * x[i]), kind(b * x[i]), kind(c * x[i]), kind(d * x[i])
                m, n, o, q = min(m, e), min(n, f), min(o, g), min(q, h)
                r, s, t, u = max(r, e), max(s, f), max(t, g), max(u, h)
            k = 2 * p
            out[k], out[k + 1], out[k + 2], out[k + 3] = m, n, o, q
            out[k + 4], out[k + 5], out[k + 6], out[k + 7] = r, s, t, u

    return ends


_ends16, _ends32 = _ends_of(np.uint16), _ends_of(np.uint32)


@compiled
def band_keys(corpus, factors, weights, keys, first, last):
    """keys[band, r] for records first to last, which have an n-gram at least.

    Args:
      factors: of `permutations`, those of these bands. weights: uint64[rows], odd.
      keys: uint64[bands, records].
    """
    tokens = scratch(corpus.longest)[0]
    x = np.empty(len(tokens) + PAD, factors.dtype)
    signature = np.empty(2 * len(factors), factors.dtype)
    rows, narrow = len(weights), factors.itemsize == 2
    unused = np.uint64(64 - 8 * factors.itemsize)
    for row in range(first, last):
        count = spelled_tokens(corpus.text, corpus.begin[row], corpus.end[row], corpus.rule, tokens)
        size = count - len(corpus.rule.odd) + 1
        for k in range(size):
            x[k] = (gram(tokens, k, corpus.rule.odd) >> unused) | np.uint64(1)
        padded = (size + PAD - 1) // PAD * PAD
        x[size:padded] = x[0]
        if narrow:
            _ends16(x[:padded], factors, signature)
        else:
            _ends32(x[:padded], factors, signature)
        for band in range(len(keys)):
            key = np.uint64(0)
            for k in range(rows):
                key += signature[band * rows + k] * weights[k]
            keys[band, row] = mixed(key)


@compiled
def _groups(order, keys, bits, members, sizes):
    """Write the members and the size of each bucket of two or more; returns (members, buckets) written.

    Args:
      order: uint64[n], sorted: the upper bits of the key, the lower `bits` the position.
    """
    places = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    total, count, at, n = 0, 0, 0, len(order)
    while at < n:
        upper, lead = order[at] | places, keys[np.int64(order[at] & places)]
        stop = at + 1
        while stop < n and order[stop] | places == upper and keys[np.int64(order[stop] & places)] == lead:
            stop += 1
        if stop > at + 1:
            for k in range(at, stop):
                members[total] = order[k] & places
                total += 1
            sizes[count] = stop - at
            count += 1
        at = stop
    return total, count


def _buckets_of_band(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(members int32[M], sizes int32[buckets]) of one band's keys: uint64[records].

    One sort of plain numbers: the position replaces the key's lower bits, which are compared after.
    """
    bits = max(1, int(len(keys) - 1).bit_length())
    low = np.uint64((1 << bits) - 1)
    order = (keys & ~low) | np.arange(len(keys), dtype=np.uint64)
    order.sort()
    members, sizes = np.empty(len(keys), np.int32), np.empty(len(keys) // 2 + 1, np.int32)
    total, count = _groups(order, keys, bits, members, sizes)
    return members[:total].copy(), sizes[:count].copy()


@compiled
def _by_record(members, starts, owned, owned_starts):
    """The transposed lists; owned_starts[r + 1] must hold the number of buckets of record r."""
    for r in range(1, len(owned_starts)):
        owned_starts[r] += owned_starts[r - 1]
    free = owned_starts[:-1].copy()
    for bucket in range(len(starts) - 1):
        for k in range(starts[bucket], starts[bucket + 1]):
            owned[free[members[k]]] = bucket
            free[members[k]] += 1


def permutations(bands: int, rows: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(factors uint16 or uint32[bands * rows / 2, up to a multiple of 4], weights uint64[rows]), all odd."""
    kind = {16: np.uint16, 32: np.uint32}[bits]
    count = -(-bands * rows // 8) * 4
    factors = (odd_numbers(count, stream=2) >> np.uint64(63 - bits)).astype(kind) | kind(1)
    return factors, odd_numbers(rows, stream=3)


def in_blocks(pool: Executor, count: int, block: int, work: Callable[[int, int], object]) -> None:
    """Call work(first, last) for each block of 0..count, on the pool's threads."""
    for job in [pool.submit(work, n, min(n + block, count)) for n in range(0, count, block)]:
        job.result()


def buckets(corpus: Corpus, bands: int, rows: int, bits: int, pool: Executor) -> Buckets:
    """Propose: every bucket that two records share in some band; the same whatever the pool."""
    n = len(corpus.begin)
    factors, weights = permutations(bands, rows, bits)
    # As much as the texts, so that large inputs are not read more often than small ones.
    # A multiple of 8 bands, where the factors can be cut; so large that the texts are read a few times only.
    step = max(8, max(KEY_BYTES, len(corpus.text) // 2) // max(1, 8 * n) // 8 * 8)
    keys = np.empty((min(step, bands), n), np.uint64)
    members, sizes = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for band in range(0, bands, step):
        some = keys[: bands - band]
        part = factors[band * rows // 2 :][: -(-len(some) * rows // 8) * 4]
        in_blocks(pool, n, BLOCK, partial(band_keys, corpus, part, weights, some))
        for m, s in pool.map(_buckets_of_band, some):
            members.append(m)
            sizes.append(s)
    del keys, some
    all_members = np.concatenate(members)
    del members
    if sum(map(len, sizes)) >= 1 << 31:
        raise P2MedError("too many records alike for one machine; see docs/scale.md")
    starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes), dtype=np.int64)])
    owned_starts = np.zeros(n + 1, np.int64)
    owned_starts[1:] = np.bincount(all_members, minlength=n)
    owned = np.empty(len(all_members), np.int32)
    _by_record(all_members, starts, owned, owned_starts)
    return Buckets(all_members, starts, owned, owned_starts)
