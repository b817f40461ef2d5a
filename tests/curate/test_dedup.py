"""Near-duplicates against brute force, chains, order, and the paper's literal reading."""

import gzip
import json
import random

import pytest
from curate_cases import WORDS

from p2med.curate.config import DedupConfig
from p2med.curate.dedup import compact, judge, shingles
from p2med.store import data_folder

CONFIG = DedupConfig()


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
    """Base texts, each with copies at Jaccard levels from about 0.6 to 1."""
    rng = random.Random(seed)
    texts = []
    for _ in range(bases):
        base = text(rng)
        texts += [base, *(edited(rng, base, rng.randrange(0, 10)) for _ in range(copies))]
    rng.shuffle(texts)
    return texts


def test_two_thousand_records_against_brute_force():
    texts = corpus(1, bases=500, copies=3)
    sets = [grams(t) for t in texts]
    owners: dict[str, list[int]] = {}
    for n, g in enumerate(sets):
        for gram in g:
            owners.setdefault(gram, []).append(n)
    kept: set[int] = set()
    expected = []
    for n, g in enumerate(sets):
        near = {o for gram in g for o in owners[gram] if o in kept}
        repeats = any(len(g & sets[o]) / len(g | sets[o]) >= 0.85 for o in near)
        expected.append(repeats)
        if not repeats:
            kept.add(n)
    verdicts = judge(texts, ["train"] * len(texts), CONFIG)
    assert [v is not None for v in verdicts] == expected
    assert 100 < sum(expected) < 1500
    for n, v in enumerate(verdicts):
        if v is not None:
            assert v.reason == "near_duplicate" and verdicts[v.original] is None
            assert jaccard(texts[n], texts[v.original]) >= 0.85


def chain(rng: random.Random) -> list[str]:
    """a ~ b ~ c, but a not ~ c: each step changes other places."""
    a = text(rng, 300)
    b = a[:60] + edited(rng, a[60:90], 4) + a[90:]
    c = b[:200] + edited(rng, b[200:230], 4) + b[230:]
    return [a, b, c]


def test_a_chain_loses_only_its_middle():
    a, b, c = chain(random.Random(3))
    assert jaccard(a, b) >= 0.85 and jaccard(b, c) >= 0.85 and jaccard(a, c) < 0.85
    assert [v is None for v in judge([a, b, c], ["train"] * 3, CONFIG)] == [True, False, True]


def test_the_literal_reading_deletes_the_whole_chain():
    config = CONFIG.model_copy(update={"verify": False})
    assert [v is None for v in judge(chain(random.Random(3)), ["train"] * 3, config)] == [True, False, False]


def test_a_pair_below_the_threshold_stays_though_it_shares_a_bucket():
    rng = random.Random(5)
    base = text(rng)
    near = next(t for t in (edited(rng, base, 5) for _ in range(500)) if 0.78 <= jaccard(base, t) < 0.84)
    assert judge([base, near], ["train"] * 2, CONFIG) == [None, None]
    literal = judge([base, near], ["train"] * 2, CONFIG.model_copy(update={"verify": False}))
    assert literal[1] is not None


def test_a_held_out_record_stays_and_its_training_twin_goes():
    rng = random.Random(7)
    a, b = text(rng), text(rng)
    verdicts = judge([a, b, a, b, b], ["train", "train", "bench", "val", "bench"], CONFIG)
    reasons = [v.reason if v else None for v in verdicts]
    assert reasons == ["duplicate_of_bench", "duplicate_of_bench", None, "duplicate_of_bench", None]


def test_chinese_records_are_not_all_alike():
    texts = ["患儿咳嗽三天伴有发热", "双肺呼吸音粗未闻及啰音"]
    assert judge(texts, ["train"] * 2, CONFIG) == [None, None]


@pytest.mark.parametrize("length, kept", [(4, False), (8, False), (9, True)])
def test_fewer_than_five_ngrams_are_too_few(length, kept):
    (verdict,) = judge([WORDS[:length]], ["train"], CONFIG)
    assert (verdict is None) is kept
    assert kept or verdict.reason == "too_few_ngrams"


def test_layout_and_width_make_no_difference():
    assert compact("体温 ３９．５℃\n咳嗽") == compact("体温39.5°C咳嗽")
    assert len(shingles(compact("咳嗽三天伴发热"), 5)) == 3


def test_the_order_of_other_records_does_not_matter_to_an_empty_list():
    assert judge([], [], CONFIG) == []


@pytest.mark.data
def test_real_chinese_reports_against_brute_force():
    path = data_folder() / "cn_imaging_report_text/reports.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared report texts are absent")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [compact(json.loads(line)["text"]) for line in lines][-700:]
    sets, kept, expected = [grams(t) for t in texts], [], []
    for g in sets:
        few = len(g) < 5
        expected.append(few or any(len(g & k) / len(g | k) >= 0.85 for k in kept))
        if not expected[-1]:
            kept.append(g)
    assert [v is not None for v in judge(texts, ["train"] * len(texts), CONFIG)] == expected
    assert sum(expected) > 5
