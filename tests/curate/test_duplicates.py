"""What the hospital's records lose: reasons by split, counts by disease, pairs side by side."""

import random

from p2med.curate.config import DedupConfig
from p2med.curate.duplicates import SHOWN, OutpatientTexts, Pair, marked, side_by_side, spread

CONFIG = DedupConfig()


def sentence(seed: int, length: int = 150) -> str:
    rng = random.Random(seed)
    return "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(length))


def collected(rows: list[tuple[str, str, str, str]]) -> OutpatientTexts:
    """Of (id, text, diagnosis, split)."""
    pile = OutpatientTexts()
    for name, text, diagnosis, split in rows:
        sections = {"history_of_present_illness": text, "preliminary_diagnosis": diagnosis}
        pile.add(("case", name), sections, split)
    return pile


def test_reasons_and_diseases_of_what_goes():
    rows = [
        ("a", sentence(1), "哮喘", "train"),
        ("b", sentence(1)[:-3], "哮喘", "train"),
        ("c", sentence(2), "哮喘", "train"),
        ("d", sentence(2)[:-3], "哮喘", "bench"),
        ("e", sentence(3), "支气管肺炎", "val"),
        ("f", sentence(3)[:-3], "支气管肺炎", "train"),
        ("g", "咳", "", "train"),
    ]
    for order in (rows, rows[::-1]):
        faults, notes = collected(order).decide(CONFIG, threads=1)
        assert faults == {
            ("case", "b"): ("near_duplicate", "a"),
            ("case", "c"): ("duplicate_of_bench", "d"),
            ("case", "f"): ("duplicate_of_val", "e"),
            ("case", "g"): ("too_few_ngrams", ""),
        }
        assert notes["records"] == 7 and notes["kept"] == 3 and notes["too_few_ngrams"] == 1
        assert notes["diseases"] == {
            "哮喘": {"kept": 2, "removed": 2},
            "支气管肺炎": {"kept": 1, "removed": 1},
        }
        assert sum(v for k, v in notes.items() if k not in ("records", "diseases")) == 7


def test_the_literal_reading_counts_what_it_deletes_too_much():
    base = sentence(4, 200)
    far = base[:100] + sentence(5, 20) + base[120:]  # Jaccard about 0.79
    rows = [("a", base, "哮喘", "train"), ("b", far, "哮喘", "train")]
    assert collected(rows).decide(CONFIG)[0] == {}
    config = CONFIG.model_copy(update={"verify": False})
    faults, notes = collected(rows).decide(config)
    assert len(faults) == 1 and notes["removed_below_min_jaccard"] == 1


def test_the_pairs_to_look_at_run_from_the_least_to_the_most_alike():
    rows = []
    for seed in range(80):
        base = sentence(seed)
        rows += [(f"a{seed}", base, "哮喘", "train"), (f"b{seed}", base[: -1 - seed % 20], "哮喘", "train")]
    pile = collected(rows)
    pile.decide(CONFIG)
    alike = [p.jaccard for p in pile.pairs]
    assert len(alike) == SHOWN and alike == sorted(alike) and 0.85 <= alike[0] < 0.9 < 0.96 < alike[-1] < 1
    assert all(p.removed_id == p.kept_id.replace("a", "b") for p in pile.pairs)
    assert all(p.removed[:50] == p.kept[:50] for p in pile.pairs)


def test_equal_records_are_no_example():
    pile = collected([("a", sentence(1), "哮喘", "train"), ("b", sentence(1), "哮喘", "train")])
    assert len(pile.decide(CONFIG)[0]) == 1 and pile.pairs == []


def test_what_differs_is_marked_and_markup_is_not_obeyed():
    kept, removed = marked("咳嗽<b>3天，发热", "咳嗽<b>5天，发热1天")
    assert kept == "咳嗽&lt;b&gt;<del>3</del>天，发热"
    assert removed == "咳嗽&lt;b&gt;<ins>5</ins>天，发热<ins>1天</ins>"
    pair = Pair(removed_id="<i>", kept_id="k", jaccard=0.9, removed="甲", kept="乙")
    page = side_by_side([pair])
    assert "<i>" not in page and "0.9000" in page and page.count("<table>") == 1


def test_spread_takes_both_ends():
    assert spread(3, 10) == [0, 1, 2] and spread(0, 10) == []
    assert spread(100, 4) == [0, 33, 66, 99]
