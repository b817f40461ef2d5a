"""Near-duplicate removal: speed and memory, a public tool beside it, brute force, records labelled by hand.

python bench/dedup_data.py double.parquet --records 1369516
python bench/dedup.py sizes double.parquet           # 1/4, 1/2, 1 and 2 of the paper's 684,758 records
python bench/dedup.py peer double.parquet --records 40000 --peer-python PYTHON     # a PYTHON with rensa
python bench/dedup.py brute                          # 20,000 records, all pairs
python bench/dedup.py citations                      # $P2MED_DATA/dedup_labelled_citations
"""

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dedup_data import batches
from numba import njit

from p2med.curate.config import DedupConfig
from p2med.curate.dedup import buffers, deduplicate, gathered
from p2med.curate.minhash import Corpus, band_keys, permutations
from p2med.curate.shingles import normalised, rule
from p2med.files import data_folder

PAPER = 684_758
HERE = Path(__file__)


def head(path: Path, count: int) -> pa.LargeStringArray:
    """The first texts of a Parquet file."""
    chunks, left = [], count
    for batch in pq.ParquetFile(path).iter_batches(16_384, columns=["text"]):
        chunks.append(batch.column(0).slice(0, left))
        left -= len(chunks[-1])
        if not left:
            break
    return gathered(chunks)


# ---------------------------------------------------------------- speed and memory


def child(*words: str, python: str = sys.executable) -> dict:
    """Run one measurement in a process of its own, so that its peak of memory is its own."""
    done = subprocess.run([python, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def one(path: Path, count: int, threads: int, verify: bool) -> None:
    """Read and deduplicate; the compiled code is loaded before, from its cache."""
    deduplicate(["患儿咳嗽三天伴有发热"] * 3, DedupConfig(verify=verify), threads=1)
    start = time.perf_counter()
    texts = head(path, count)
    read, used = time.perf_counter(), time.process_time()
    decisions = deduplicate(texts, DedupConfig(verify=verify), threads=threads)
    end = time.perf_counter()
    gone = decisions.original >= 0
    print(
        json.dumps(
            {
                "records": len(texts),
                "read_s": read - start,
                "dedup_s": end - read,
                "cpu_s": time.process_time() - used,
                "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                "kept": int(decisions.kept.sum()),
                "removed": int(gone.sum()),
                "removed_below_0.85": int((gone & (decisions.jaccard < 0.85)).sum()),
            }
        )
    )


def sizes(path: Path, threads: int, rounds: int) -> None:
    command = (HERE, "one", path, "--threads", threads)
    for literal in ((), ("--literal",)):
        for share in (0.25, 0.5, 1, 2):
            count = round(PAPER * share)
            runs = [child(*command, "--records", count, *literal) for _ in range(rounds)]
            seconds = [r["dedup_s"] for r in runs]
            print(
                f"{'literal' if literal else 'checked'} {runs[0]['records']:>9,} records, {threads} threads: "
                f"dedup {statistics.median(seconds):.2f} s [{min(seconds):.2f}-{max(seconds):.2f}], "
                f"CPU {statistics.median(r['cpu_s'] for r in runs):.1f} s, "
                f"read {statistics.median(r['read_s'] for r in runs):.2f} s, "
                f"peak {max(r['peak_gib'] for r in runs):.2f} GiB, kept {runs[0]['kept']:,}, "
                f"removed {runs[0]['removed']:,}, of these {runs[0]['removed_below_0.85']:,} below 0.85",
                flush=True,
            )


# ---------------------------------------------------------------- a public tool beside it

RENSA = """
import json, sys, time
import pyarrow.parquet as pq
from rensa import RMinHash, RMinHashLSH
texts = []
for batch in pq.ParquetFile(sys.argv[1]).iter_batches(16384, columns=["text"]):
    texts += batch.column(0).to_pylist()
    if len(texts) >= int(sys.argv[2]):
        break
texts = texts[: int(sys.argv[2])]
start, used = time.perf_counter(), time.process_time()
sets = [list({t[i : i + 5] for i in range(len(t) - 4)}) for t in texts]
cut = time.perf_counter()
matrix = RMinHash.digest_matrix_from_token_sets(sets, 4096, 42)
flags = RMinHashLSH(0.85, 4096, 256).query_duplicate_flags_matrix_one_shot(matrix)
end = time.perf_counter()
used = time.process_time() - used
print(json.dumps({"ngrams_s": cut - start, "minhash_s": end - cut, "cpu_s": used, "flagged": sum(flags)}))
"""


def peer(path: Path, python: str, count: int, threads: int, rounds: int) -> None:
    """rensa's fastest MinHash with banding and no check, ours with the check; in turn, same threads."""
    os.environ.update({"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": "1"})
    ratios, without, cpu = [], [], []
    for _ in range(rounds):
        theirs = child("-c", RENSA, path, count, python=python)
        run = child(HERE, "one", path, "--records", count, "--threads", threads)
        ours = run["dedup_s"]
        whole = theirs["ngrams_s"] + theirs["minhash_s"]
        ratios.append(whole / ours)
        without.append(theirs["minhash_s"] / ours)
        cpu.append(theirs["cpu_s"] / run["cpu_s"])
        print(
            f"{count:,} records, {threads} threads: rensa {whole:.2f} s ({count / whole:,.0f}/s), of it "
            f"n-grams in Python {theirs['ngrams_s']:.2f} s; ours {ours:.2f} s ({count / ours:,.0f}/s)",
            flush=True,
        )
    for name, values in (("wall", ratios), ("CPU", cpu), ("wall, rensa without its n-grams", without)):
        print(f"rensa / ours, {name}: {statistics.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]")


# ---------------------------------------------------------------- brute force


@njit(nogil=True)
def _row(ids, starts, row, floor, found, alike):
    """Earlier records with Jaccard >= floor, by merging sorted n-gram numbers; nothing is hashed, and nothing
    is skipped but sizes that cannot reach the floor."""
    count, a0, a1 = 0, starts[row], starts[row + 1]
    for other in range(row):
        b0, b1 = starts[other], starts[other + 1]
        if min(a1 - a0, b1 - b0) < floor * max(a1 - a0, b1 - b0):
            continue
        i, j, both = a0, b0, 0
        while i < a1 and j < b1:
            x, y = ids[i], ids[j]
            both += x == y
            i += x <= y
            j += y <= x
        jaccard = both / (a1 - a0 + b1 - b0 - both)
        if jaccard >= floor:
            found[count], alike[count] = other, jaccard
            count += 1
    return count


def all_pairs(texts: list[str], floor: float, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """(pairs int64[P, 2], Jaccard float64[P]) of all pairs of the texts at or above the floor."""
    numbers: dict[str, int] = {}
    sets = []
    for text in texts:
        grams = {text[i : i + 5] for i in range(len(text) - 4)}
        sets.append(np.sort(np.array([numbers.setdefault(g, len(numbers)) for g in grams], np.int32)))
    ids, starts = np.concatenate(sets), np.cumsum([0, *map(len, sets)])

    def block(first: int) -> list[tuple[int, int, float]]:
        found, alike = np.empty(len(texts), np.int64), np.empty(len(texts))
        out = []
        for row in range(first, len(texts), 64):
            count = _row(ids, starts, row, floor, found, alike)
            out += [(row, int(found[k]), float(alike[k])) for k in range(count)]
        return out

    with ThreadPoolExecutor(threads) as pool:
        rows = [r for part in pool.map(block, range(64)) for r in part]
    return np.array([r[:2] for r in rows], np.int64), np.array([r[2] for r in rows])


def proposed(texts: list[str], pairs: np.ndarray, bits: int) -> np.ndarray:
    """bool[P]: the two records of each pair share a bucket."""
    text, offsets = buffers(texts)
    longest = max(map(len, texts)) * 18
    sizes = np.zeros(len(texts), np.int64)
    corpus = Corpus(text, offsets[:-1], offsets[1:], sizes, longest, rule(5))
    factors, weights = permutations(256, 16, bits)
    keys = np.empty((256, len(texts)), np.uint64)
    band_keys(corpus, factors, weights, keys, 0, len(texts))
    return (keys[:, pairs[:, 0]] == keys[:, pairs[:, 1]]).any(axis=0)


def brute(count: int, threads: int) -> None:
    made = batches(count, seed=1, copies=0.6, lowest=0.5)
    texts = [normalised(t) for batch in made for t in batch.column("text").to_pylist()]
    pairs, alike = all_pairs(texts, 0.5, threads)
    print(f"{count:,} records, {len(pairs):,} pairs with Jaccard >= 0.5 by brute force")
    print("Jaccard       pairs  share of them proposed: 16 bits, 32 bits, theory")
    shared = [proposed(texts, pairs, bits) for bits in (16, 32)]
    for low in [*np.arange(0.5, 1.0, 0.05).tolist(), 1.0]:
        at = (alike >= low - 1e-12) & (alike < low + 0.05 - 1e-12) & ((alike < 1) | (low == 1))
        theory = np.mean(1 - (1 - alike[at] ** 16) ** 256)
        level = f"{low:.2f}-{low + 0.05:.2f}" if low < 1 else "1        "
        print(f"{level} {at.sum():>9,}  {shared[0][at].mean():.4f} {shared[1][at].mean():.4f} {theory:.4f}")
    true = alike >= 0.85
    for bits, some in zip((16, 32), shared, strict=True):
        found = some[true]
        print(f"{bits} bits: recall at J >= 0.85 {found.mean():.6f} ({found.sum():,} of {len(found):,})")
    repeats = np.zeros(count, np.bool_)
    repeats[pairs[true].ravel()] = True
    for verify in (True, False):
        d = deduplicate(texts, DedupConfig(verify=verify), threads=threads)
        removed = d.original >= 0
        left = (true & d.kept[pairs[:, 0]] & d.kept[pairs[:, 1]]).sum()
        unjust = (removed & ~repeats).sum()
        known = {(int(a), int(b)) for a, b in pairs[true]}
        right = sum((max(n, o), min(n, o)) in known for n, o in enumerate(d.original.tolist()) if o >= 0)
        print(
            f"{'checked' if verify else 'literal'}: kept {d.kept.sum():,}, removed {removed.sum():,}; "
            f"precision {right / removed.sum():.6f} (share with J >= 0.85 to the kept one named); "
            f"pairs with J >= 0.85 left {left:,}; removed although no record at all has J >= 0.85 with it "
            f"{unjust:,} ({unjust / removed.sum():.1%})"
        )


# ---------------------------------------------------------------- labelled by hand

PUBLISHED = """respiratory, published: SRA-DM sensitivity 84 %, specificity 100 %; EndNote 51 %, 99.83 %
(Rathbone et al. 2015, abstract, as quoted in the data's README)"""


def citations() -> None:
    """The labels mark every record that has a copy, the first of a group too (copper: 115 pairs, all marked).

    So what counts as found is a record that goes or that another one goes for; what goes is printed after it.
    """
    print(PUBLISHED)
    folder = data_folder() / "dedup_labelled_citations"
    for name in ("respiratory", "copper"):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        marked = np.array([r["is_duplicate"] for r in rows], np.bool_)
        for fields in (("title",), ("title", "abstract"), ("title", "authors", "year")):
            texts = [" ".join(_words(r[f]) for f in fields) for r in rows]
            for threshold, hashes in ((0.85, 16), (0.7, 8), (0.5, 4)):
                config = DedupConfig(min_jaccard=threshold, rows=hashes)
                d = deduplicate(texts, config, threads=1)
                found = ~d.kept
                found[d.original[d.original >= 0]] = True
                print(
                    f"{name:<12}{'+'.join(fields):<21} 256 x {hashes:<2} J >= {threshold:<4}: "
                    f"sensitivity {(found & marked).sum() / marked.sum():.1%}, "
                    f"specificity {(~found & ~marked).sum() / (~marked).sum():.2%}; "
                    f"removed {(~d.kept).sum()}, of these {(~d.kept & marked).sum()} marked"
                )


def _words(value: str | list[str]) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["sizes", "peer", "brute", "citations", "one"])
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--literal", action="store_true")
    parser.add_argument("--peer-python", default=sys.executable)
    a = parser.parse_args()
    if a.what == "sizes":
        sizes(a.path, a.threads, a.rounds)
    elif a.what == "peer":
        peer(a.path, a.peer_python, a.records, a.threads, a.rounds)
    elif a.what == "one":
        one(a.path, a.records, a.threads, not a.literal)
    elif a.what == "brute":
        brute(a.records, a.threads)
    else:
        citations()


if __name__ == "__main__":
    main()
