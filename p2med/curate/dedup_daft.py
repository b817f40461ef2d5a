"""The same deduplication on Daft, for more records than one machine holds (docs/scale.md; extra `cluster`).

    daft.set_runner_ray()                     # a cluster; without it, processes of this machine
    gone = deduplicate(daft.read_parquet("s3://…/records/*.parquet"), DedupConfig(), workers=64)
    gone.write_parquet("s3://…/gone")

records ─► measure ─► one of equal sets ─► band keys ─► group by key ─► pairs ─► join the texts, exact Jaccard
                                                           ▲                               │ duplicates
                                                           └──── who is still kept ◄───────┘ to one process

Every step but the last is a map, a group or a join of the engine. The last walks down the order of preference
with the pairs alone; one walk is enough unless buckets were too large for all their pairs (proof: decide.py).
"""

import itertools
from collections.abc import Callable
from concurrent.futures import Executor, Future

import daft
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from daft import DataFrame, DataType, Expression, Series, col

from p2med.curate import dedup
from p2med.curate.config import DedupConfig
from p2med.curate.decide import compare, walk
from p2med.curate.minhash import Corpus, band_keys, permutations
from p2med.curate.shingles import odd_numbers, rule
from p2med.errors import P2MedError

STAR = 200
"""In a bucket of more records, the first round compares each with one of them alone."""
ALL = 1 << 60
Jaccard = Callable[[Expression, Expression], Expression]
_MEASURED = {"size": "int64", "length": "int64", "print": "uint64", "other": "uint64", "preference": "string"}
_STRUCT = DataType.struct({k: getattr(DataType, v)() for k, v in _MEASURED.items()})


class _Measure:
    def __init__(self, config: DedupConfig):
        self.config = config

    @daft.method.batch(return_dtype=_STRUCT)
    def __call__(self, ids: Series, texts: Series, ranks: Series):
        """Sizes and fingerprints, and a text that sorts as `dedup.preference` does."""
        text, offsets = dedup.buffers(texts.to_arrow())
        m = dedup.measured(text, offsets, self.config, _Here())
        keys = []
        for n, (i, rank) in enumerate(zip(ids.to_pylist(), ranks.to_pylist(), strict=True)):
            hashed = xxhash.xxh3_64_intdigest(i.encode())
            numbers = (m.prints[n], m.others[n], m.raws[n], hashed)
            fingers = "".join(f"{int(x):016x}" for x in numbers)
            keys.append(f"{rank:04x}{(1 << 40) - int(m.sizes[n]):011x}{fingers}{i}")
        return pa.StructArray.from_arrays(
            [m.sizes, m.lengths, m.prints, m.others, pa.array(keys, pa.large_string())], names=list(_MEASURED)
        )


class _Buckets:
    def __init__(self, config: DedupConfig):
        self.config = config

    @daft.method.batch(return_dtype=DataType.list(DataType.uint64()))
    def __call__(self, texts: Series, sizes: Series, lengths: Series):
        """The buckets of each record: its band keys, told apart by band."""
        text, offsets = dedup.buffers(texts.to_arrow())
        size, length = sizes.to_arrow().to_numpy(), lengths.to_arrow().to_numpy()
        how = rule(self.config.ngram, self.config.unit, self.config.digits)
        corpus = Corpus(text, offsets[:-1], offsets[1:], size, int(length.max(initial=0)), how)
        factors, weights = permutations(self.config.bands, self.config.rows, dedup.BITS[True])
        keys = np.empty((self.config.bands, len(size)), np.uint64)
        band_keys(corpus, factors, weights, keys, 0, len(size))
        keys ^= odd_numbers(self.config.bands, stream=4)[:, None]
        ends = np.arange(len(size) + 1, dtype=np.int64) * self.config.bands
        return pa.LargeListArray.from_arrays(ends, pa.array(keys.T.reshape(-1)))


class _Pairs:
    def __init__(self, limit: int):
        self.limit = limit

    @daft.method.batch(return_dtype=DataType.list(DataType.list(DataType.uint64())))
    def __call__(self, members: Series):
        """All pairs of a bucket, or those with its first record when it is larger than the limit."""
        out = []
        for records in members.to_pylist():
            records = sorted(records)
            firsts = records if len(records) <= self.limit else records[:1]
            out.append([[a, b] for k, a in enumerate(firsts) for b in records[k + 1 :]])
        return pa.array(out, pa.large_list(pa.large_list(pa.uint64())))


class _Jaccard:
    def __init__(self, config: DedupConfig):
        self.config = config

    @daft.method.batch(return_dtype=DataType.float64())
    def __call__(self, one: Series, other: Series):
        """Exact Jaccard of pairs of texts; some value below min_jaccard for less."""
        text, offsets = dedup.buffers(pa.chunked_array([one.to_arrow(), other.to_arrow()]))
        m = dedup.measured(text, offsets, self.config, _Here())
        how = rule(self.config.ngram, self.config.unit, self.config.digits)
        longest = int(m.lengths.max(initial=0))
        corpus = Corpus(text, offsets[:-1], offsets[1:], m.sizes, longest, how)
        count = len(one)
        alike = np.zeros(count)
        compare(corpus, np.arange(count), np.arange(count) + count, self.config.min_jaccard, alike)
        return pa.array(alike)


class _Here(Executor):
    """Runs what it is given at once: a worker is one process on one core."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def deduplicate(records: DataFrame, config: DedupConfig, workers: int = 2) -> DataFrame:
    """The records that go: `id`, `reason`, `original` (id of the kept one), `jaccard`; all others stay.

    What stays is what `dedup.deduplicate` keeps with the same ids and ranks. Where a record repeats two kept
    ones, the one that is named can differ.

    Args:
      records: columns `id` (unique), `text`, and `rank` (lower is kept rather), if any. workers: processes.

    Raises:
      P2MedError: `verify: false`, whose clusters are not made here; or two sets with one fingerprint.
    """
    if not config.verify:
        raise P2MedError(
            "the paper's literal clusters are made on one machine; use `p2med dedup --no-verify`"
        )
    if "rank" not in records.column_names:
        records = records.with_column("rank", daft.lit(0))

    def on_workers(step: type):
        return daft.cls(step, use_process=True, max_concurrency=workers)(config)

    measure = on_workers(_Measure)
    table = records.select("id", col("text").fill_null("").alias("text"), "rank")
    table = table.with_column("m", measure(col("id"), col("text"), col("rank")))
    table = table.select("id", "text", *(col("m")[k].alias(k) for k in _MEASURED)).collect()
    whole = table.where(col("size") >= dedup.MIN_NGRAMS)
    lead = whole.groupby("print", "other").agg(col("preference").min()).collect()
    if lead.count_rows() != lead.select("print").distinct().count_rows():
        raise P2MedError(
            "two different records have the same 64-bit fingerprint; split the input and run again"
        )
    leaders = whole.join(lead.select("preference"), on="preference").collect()
    bucketed = on_workers(_Buckets)(col("text"), col("size"), col("length"))
    members = leaders.select("print", bucketed.alias("bucket")).explode("bucket").collect()
    removed = _rounds(members, leaders, on_workers(_Jaccard), config.min_jaccard)
    return _gone(table, leaders, removed)


def _rounds(members: DataFrame, leaders: DataFrame, jaccard: Jaccard, min_jaccard: float) -> pa.Table:
    """(print, original, jaccard) of the distinct sets that go: the rounds of decide.py as joins."""
    edges: list[pa.Table] = []
    removed = pa.table({"print": pa.array([], pa.uint64())})
    checked = daft.from_pydict({"one": [0], "two": [0]}).select(
        *(col(c).cast("uint64") for c in ("one", "two"))
    )
    for limit in itertools.chain([STAR], itertools.repeat(ALL)):
        stays = members.join(daft.from_arrow(removed).select("print"), on="print", how="anti")
        groups = stays.groupby("bucket").agg(col("print").list_agg().alias("members"))
        groups = groups.where(col("members").list_count() > 1)
        pair = daft.cls(_Pairs)(limit)(col("members"))
        pairs = groups.select(pair.alias("pair")).explode("pair")
        pairs = pairs.select(*(col("pair").get(k).alias(c) for k, c in enumerate(("one", "two"))))
        new = pairs.distinct().join(checked, on=["one", "two"], how="anti").collect()
        if limit == ALL and not new.count_rows():
            break
        checked = checked.concat(new).collect()
        edges.append(_edges(new, leaders, jaccard, min_jaccard))
        removed = _walked(pa.concat_tables(edges))
    return removed


def _edges(pairs: DataFrame, leaders: DataFrame, jaccard: Jaccard, min_jaccard: float) -> pa.Table:
    """The pairs that are duplicates, with what `_walked` needs of both."""
    for side in ("one", "two"):
        texts = leaders.select(*(col(c).alias(n) for c, n in _side(side).items()))
        pairs = pairs.join(texts, on=side)
    pairs = pairs.with_column("jaccard", jaccard(col("one_text"), col("two_text")))
    return pairs.where(col("jaccard") >= min_jaccard).exclude("one_text", "two_text").to_arrow()


def _side(side: str) -> dict[str, str]:
    return {"print": side, "text": f"{side}_text", "preference": f"{side}_preference"}


def _walked(edges: pa.Table) -> pa.Table:
    """Who goes, walking down the order of preference with these pairs."""
    one, two = (edges.column(f"{s}_preference").cast(pa.large_string()) for s in ("one", "two"))
    names = pc.unique(pa.chunked_array([*one.chunks, *two.chunks], pa.large_string())).sort()
    places = [pc.index_in(c, names).to_numpy() for c in (one, two)]
    later, earlier = np.maximum(*places).astype(np.int64), np.minimum(*places).astype(np.int64)
    prints = np.zeros(len(names), np.uint64)
    for place, side in zip(places, ("one", "two"), strict=True):
        prints[place] = edges.column(side).to_numpy()
    kept, original = np.ones(len(names), np.bool_), np.full(len(names), -1, np.int64)
    order = np.lexsort((earlier, later))
    walk(later[order], earlier[order], kept, original)
    alike = np.zeros(len(names))
    chosen = earlier == original[later]
    alike[later[chosen]] = edges.column("jaccard").to_numpy()[chosen]
    gone = ~kept
    return pa.table({"print": prints[gone], "original": prints[original[gone]], "jaccard": alike[gone]})


def _gone(table: DataFrame, leaders: DataFrame, removed: pa.Table) -> DataFrame:
    """From distinct sets back to the records: copies of a set go with it, or for it."""
    names = leaders.select("print", col("id").alias("lead"))
    originals = names.select(col("print").alias("original"), col("lead").alias("of"))
    sets = names.join(daft.from_arrow(removed).join(originals, on="original"), on="print", how="left")
    few = table.where(col("size") < dedup.MIN_NGRAMS).select("id")
    rows = table.where(col("size") >= dedup.MIN_NGRAMS).select("id", "print").join(sets, on="print")
    rows = rows.where(~col("of").is_null() | (col("id") != col("lead")))
    near = rows.select(
        "id",
        daft.lit("near_duplicate").alias("reason"),
        col("of").fill_null(col("lead")).alias("original"),
        col("jaccard").fill_null(1.0),
    )
    nothing = (
        daft.lit(None).cast("string").alias("original"),
        daft.lit(None).cast("float64").alias("jaccard"),
    )
    return near.concat(few.select("id", daft.lit("too_few_ngrams").alias("reason"), *nothing))
