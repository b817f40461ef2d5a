"""Near-duplicates against brute force, chains, order, threads, and the paper's literal reading."""

import gzip
import json
import random
import sys

import numpy as np
import pyarrow as pa
import pytest
from curate_cases import WORDS
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from p2med.curate.config import DedupConfig
from p2med.curate.dedup import RANK, Decisions, buffers, deduplicate
from p2med.curate.minhash import Corpus, band_keys, permutations
from p2med.curate.shingles import normalised, rule
from p2med.store import data_folder

CONFIG = DedupConfig()
LITERAL = CONFIG.model_copy(update={"verify": False})


def text(rng: random.Random, length: int = 200) -> str:
    return "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(length))


def grams(value: str) -> set[str]:
    return {value[i : i + 5] for i in range(len(value) - 4)}


def jaccard(a: str, b: str) -> float:
    """By the definition, on strings: nothing of the code under test."""
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


def edited(rng: random.Random, value: str, edits: int) -> str:
    changed = list(value)
    for place in rng.sample(range(len(changed)), edits):
        changed[place] = chr(rng.randrange(0x4E00, 0x9FA5))
    return "".join(changed)


def corpus(seed: int, bases: int, copies: int) -> list[str]:
    """Base texts, each with copies at Jaccard levels from about 0.6 to 1, and some of other lengths."""
    rng = random.Random(seed)
    texts = []
    for _ in range(bases):
        base = text(rng)
        texts += [base, *(edited(rng, base, rng.randrange(0, 10)) for _ in range(copies))]
        texts.append(base[: rng.randrange(150, 200)])
    rng.shuffle(texts)
    return texts


def check(texts: list[str], decisions: Decisions, ranks: list[int] | None = None) -> None:
    """The three properties that the rule promises, by brute force over all pairs that share an n-gram.

    They determine the result up to records with equal n-grams: each that goes repeats a kept one that is
    preferred, and no kept one repeats a kept one.
    """
    sets = [grams(t) for t in texts]
    rank = ranks or [0] * len(texts)
    owners: dict[str, list[int]] = {}
    for n, g in enumerate(sets):
        for gram in g:
            owners.setdefault(gram, []).append(n)
    assert decisions.few.tolist() == [len(g) < 5 for g in sets]
    for n, g in enumerate(sets):
        original = int(decisions.original[n])
        if decisions.kept[n]:
            near = {o for gram in g for o in owners[gram] if decisions.kept[o] and o != n}
            assert not [o for o in near if len(g & sets[o]) / len(g | sets[o]) >= 0.85]
        elif original >= 0:
            assert decisions.kept[original]
            assert decisions.jaccard[n] == jaccard(texts[n], texts[original])
            assert decisions.jaccard[n] >= 0.85
            assert (rank[original], -len(sets[original])) <= (rank[n], -len(g))


def test_two_thousand_records_against_brute_force():
    texts = corpus(1, bases=500, copies=3)
    decisions = deduplicate(texts, CONFIG, threads=2)
    check(texts, decisions)
    assert 500 < decisions.kept.sum() < 2200


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("咳嗽热痰", min_size=0, max_size=24), max_size=40), st.randoms(use_true_random=False))
def test_short_and_repetitive_texts_against_brute_force(texts, rng):
    # 64 bands of 2 rows propose nearly everything that shares an n-gram, so the exact step meets odd cases.
    config = CONFIG.model_copy(update={"bands": 64, "rows": 2})
    ranks = [rng.randrange(3) for _ in texts]
    check(texts, deduplicate(texts, config, ranks=ranks, threads=1), ranks)


def test_large_groups_of_near_equal_texts_against_brute_force():
    rng = random.Random(2)
    bases = [text(rng, 120) for _ in range(3)]
    texts = [edited(rng, rng.choice(bases), rng.randrange(0, 4)) for _ in range(300)]
    decisions = deduplicate(texts, CONFIG, threads=2)
    check(texts, decisions)
    assert 3 < decisions.kept.sum() < 250


def kept_texts(texts: list[str], config: DedupConfig, **options) -> list[str]:
    decisions = deduplicate(texts, config, **options)
    return sorted(t for t, k in zip(texts, decisions.kept, strict=True) if k)


@pytest.mark.parametrize("config", [CONFIG, LITERAL], ids=["verified", "literal"])
def test_neither_order_nor_threads_nor_memory_change_the_result(config, monkeypatch):
    texts = corpus(4, bases=150, copies=4)
    texts += [t.replace(t[10], t[10] + " ") for t in texts[:40]]  # equal sets, other bytes
    whole = deduplicate(texts, config, threads=1)
    kept = kept_texts(texts, config, threads=1)
    for seed in range(3):
        shuffled = random.Random(seed).sample(texts, len(texts))
        assert kept_texts(shuffled, config, threads=seed + 1) == kept
    monkeypatch.setattr("p2med.curate.minhash.KEY_BYTES", 1)  # a part of the bands at a time
    monkeypatch.setattr("p2med.curate.decide.BLOCK", 17)
    again = deduplicate(texts, config, threads=3)
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


def test_of_equal_texts_the_id_decides():
    rng = random.Random(6)
    same = text(rng)
    for ids in (["a", "b", "c"], ["c", "b", "a"]):
        kept = deduplicate([same] * 3, CONFIG, ids=ids).kept
        assert [i for i, k in zip(ids, kept, strict=True) if k] == ["b"]


def test_the_fullest_record_is_kept():
    whole = text(random.Random(8), 200)
    decisions = deduplicate([whole[:-15], whole, whole[:-10]], CONFIG)
    assert decisions.original.tolist() == [1, -1, 1]


def chain(rng: random.Random) -> list[str]:
    """a ~ b ~ c, but a not ~ c: each step changes other places."""
    a = text(rng, 300)
    b = a[:60] + edited(rng, a[60:90], 4) + a[90:]
    c = b[:200] + edited(rng, b[200:230], 4) + b[230:]
    assert jaccard(a, b) >= 0.85 and jaccard(b, c) >= 0.85 and jaccard(a, c) < 0.85
    return [a, b, c]


def test_a_chain_loses_only_its_middle_and_the_literal_reading_all_but_one():
    a, b, c = chain(random.Random(3))
    assert deduplicate([a, b, c], CONFIG, ranks=[0, 1, 2]).original.tolist() == [-1, 0, -1]
    assert deduplicate([a, b, c], CONFIG, ranks=[1, 0, 2]).original.tolist() == [1, -1, 1]
    literal = deduplicate([a, b, c], LITERAL, ranks=[0, 1, 2])
    assert literal.original.tolist() == [-1, 0, 0]
    assert literal.jaccard[2] == pytest.approx(jaccard(a, c))  # it says how unlike the one was that went


def test_a_pair_below_the_threshold_stays_though_it_shares_a_bucket():
    rng = random.Random(5)
    base = text(rng)
    near = next(t for t in (edited(rng, base, 5) for _ in range(500)) if 0.78 <= jaccard(base, t) < 0.84)
    assert deduplicate([base, near], CONFIG).kept.all()
    assert deduplicate([base, near], LITERAL).kept.sum() == 1


def test_a_jaccard_of_exactly_the_threshold_is_a_duplicate():
    base = text(random.Random(9), 57)
    shorter = base[:49]  # 45 of 53 n-grams: below; and 17 of 20 exactly
    assert jaccard(base, shorter) < 0.85
    seventeen, twenty = base[:21], base[:24]
    assert jaccard(seventeen, twenty) == 17 / 20
    config = CONFIG.model_copy(update={"rows": 2})
    assert deduplicate([base, shorter], config).kept.all()
    assert deduplicate([seventeen, twenty], config).kept.tolist() == [False, True]


def test_a_held_out_record_stays_and_its_training_twin_goes():
    rng = random.Random(7)
    a, b = text(rng), text(rng)
    ranks = [RANK[s] for s in ("train", "train", "bench", "val", "bench")]
    decisions = deduplicate([a, b + "。", a, b, b], CONFIG, ranks=ranks)
    assert decisions.original.tolist() == [2, 4, -1, 4, -1]


def test_chinese_records_are_not_all_alike():
    assert deduplicate(["患儿咳嗽三天伴有发热", "双肺呼吸音粗未闻及啰音"], CONFIG).kept.all()


@pytest.mark.parametrize("length, kept", [(0, False), (4, False), (8, False), (9, True)])
def test_fewer_than_five_ngrams_are_too_few(length, kept):
    decisions = deduplicate([WORDS[:length]], CONFIG)
    assert decisions.kept.tolist() == [kept] and decisions.few.tolist() == [not kept]


def test_nothing_in_nothing_out():
    assert len(deduplicate([], CONFIG).kept) == 0
    assert deduplicate(pa.chunked_array([[None, "咳"]], pa.string()), CONFIG).few.tolist() == [True, True]


@pytest.mark.parametrize("bits", [16, 32])
def test_band_keys_agree_as_often_as_datasketch_says(bits):
    """The share of equal rows estimates Jaccard: ours and datasketch's, both within 4 standard errors."""
    rng = random.Random(11)
    base = text(rng)
    pairs = [(base, edited(rng, base, edits)) for edits in (1, 3, 6, 12, 25)]
    ours = signature_agreement([t for pair in pairs for t in pair], 4096, bits)
    for n, (a, b) in enumerate(pairs):
        theirs = [MinHash(4096, seed=1) for _ in range(2)]
        for sketch, value in zip(theirs, (a, b), strict=True):
            sketch.update_batch([g.encode() for g in grams(value)])
        true = jaccard(a, b)
        error = 4 * (true * (1 - true) / 4096) ** 0.5
        assert abs(theirs[0].jaccard(theirs[1]) - true) <= error
        assert abs(ours[n] - true) <= error


def signature_agreement(texts: list[str], hashes: int, bits: int) -> list[float]:
    """Share of equal one-row bands for texts 0 and 1, 2 and 3, …"""
    data, offsets = buffers(texts)
    made = Corpus(data, offsets[:-1], offsets[1:], np.zeros(len(texts), np.int64), 1000, rule(5))
    factors, weights = permutations(hashes, 1, bits)
    keys = np.empty((hashes, len(texts)), np.uint64)
    band_keys(made, factors, weights, keys, 0, len(texts))
    return [float((keys[:, n] == keys[:, n + 1]).mean()) for n in range(0, len(texts), 2)]


@pytest.mark.data
def test_real_chinese_reports_against_brute_force():
    path = data_folder() / "cn_imaging_report_text/reports.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared report texts are absent")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [normalised(json.loads(line)["text"]) for line in lines][-500:]
    decisions = deduplicate(texts, CONFIG)
    check(texts, decisions)
    assert (decisions.original >= 0).sum() > 5


def test_the_callers_strings_do_not_grow():
    texts = ["发热咳嗽三天" * 40 + str(n) for n in range(8)]
    before = [sys.getsizeof(t) for t in texts]
    deduplicate([*texts, None], DedupConfig())
    assert [sys.getsizeof(t) for t in texts] == before
    pa.array(texts, pa.large_string())
    assert [sys.getsizeof(t) for t in texts] != before
