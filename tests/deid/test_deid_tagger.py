"""The tagger: exact arithmetic, whatever the order of summation; what it finds and what it must leave."""

import os
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest

from p2med.deid import tagger, tagger_network
from p2med.deid.folding import fold
from p2med.deid.keep import CLINICAL_WORDS, DRUGS, EPONYMS
from p2med.deid.language import language
from p2med.deid.name_score import is_chinese
from p2med.deid.tagger import tagger_spans
from p2med.deid.tagger_network import KINDS, odds
from p2med.deid.text import LAYERS, Known, joined, scrub

NOTE = fold(
    "夜班交班：12床向阳，肺炎第3天，夜间最高体温38.6℃，予布洛芬混悬液4ml口服后降至37.4℃。\n"
    "随访人 扎西拉姆，孩子糯米团已回苗苗班，班上还有方圆、石磊两人咳嗽。ID ZY2206-04418"
)
UNTOLD = [0] * len(NOTE)


def test_weights_are_small_integers_whose_sums_float32_holds() -> None:
    with resources.files("p2med.deid").joinpath("tagger.npz").open("rb") as file:
        found = np.load(file, allow_pickle=False)
        arrays = {name: found[name] for name in found.files if found[name].dtype.kind != "U"}
    assert all(a.dtype in (np.int8, np.int32) for a in arrays.values())
    matrices = [name for name in arrays if name.split(".")[1][0] == "w" or name.endswith("last_w")]
    assert len(matrices) == len(tagger_network.weights().chars) * (len(tagger_network.DILATIONS) + 1)
    for name in matrices:
        bias = arrays[name[:-1] + "b" if name.endswith("last_w") else name.replace(".w", ".b")]
        most = np.abs(arrays[name].astype(np.int64)).sum(axis=0) * int(tagger_network.MOST) + np.abs(bias)
        assert (most + tagger_network.SHIFT < 2**24).all()


def test_another_order_of_summation_or_another_precision_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds, margins = odds(NOTE, UNTOLD)
    weights = tagger_network.weights()
    for change in (_in_another_order, _in_float64):
        changed = change(weights)
        with monkeypatch.context() as patch:
            patch.setattr(tagger_network, "weights", lambda changed=changed: changed)
            again = odds(NOTE, UNTOLD)
        assert (again[0] == kinds).all() and (again[1] == margins).all()


def _in_another_order(weights: tagger_network.Weights) -> tagger_network.Weights:
    """The same networks, their channels shuffled."""
    first = np.random.default_rng(1).permutation(weights.chars.shape[-1])
    width = weights.last[0].shape[1]
    other = np.random.default_rng(2).permutation(width)
    layers = []
    for n, (w, b) in enumerate(weights.layers):
        shuffled = w[:, :, other if n else first][..., other]
        layers.append((np.ascontiguousarray(shuffled), b[..., other]))
    tables = {n: getattr(weights, n)[..., first] for n in ("chars", "said", "bigrams")}
    return weights._replace(**tables, layers=layers, last=(weights.last[0][:, other].copy(), weights.last[1]))


def _in_float64(weights: tagger_network.Weights) -> tagger_network.Weights:
    layers = [(w.astype(np.float64), b.astype(np.float64)) for w, b in weights.layers]
    last = weights.last[0].astype(np.float64), weights.last[1].astype(np.float64)
    return weights._replace(layers=layers, last=last)


def test_the_number_of_threads_changes_nothing() -> None:
    code = (
        "import sys; from p2med.deid.tagger_network import odds; text = sys.stdin.read();"
        "kinds, margins = odds(text, [0] * len(text));"
        "print(kinds.tolist(), margins.tolist())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=NOTE * 8,
            env=os.environ | {v: n for v in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in ("1", "3")
    }
    assert len(answers) == 1


def test_a_long_text_in_pieces_has_the_odds_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    text = NOTE * 4
    kinds, margins = odds(text, [0] * len(text))
    for piece in (1, 37, 100):
        monkeypatch.setattr(tagger_network, "_PIECE", piece)
        again = odds(text, [0] * len(text))
        assert (again[0] == kinds).all() and (again[1] == margins).all()


def test_texts_of_no_and_few_characters() -> None:
    for text in ("", "向", "\n", "\U00020000😀"):
        assert len(odds(text, [0] * len(text))[0]) == len(text)
        assert all(kind in KINDS[1:] for *_, kind in tagger_spans(text, odds(text, [0] * len(text))))


@pytest.mark.parametrize(
    "text, value, kind",
    [
        ("豆包妈妈来电，说糯米团昨晚又烧了。", "糯米团", "name"),
        ("今晨乐乐体温正常，妈妈说夜里没咳。", "乐乐", "name"),
        ("21:30 沐辰哭闹，予安抚后入睡。", "沐辰", "name"),
        ("家长诉孩子在苗苗班上学，近期班内多人咳嗽。", "苗苗班", "school"),
        ("家住青山湾的外婆照看。", "青山湾", "address"),
    ],
)
def test_what_no_list_holds(text: str, value: str, kind: str) -> None:
    folded = fold(text)
    at = folded.index(value)
    assert (at, at + len(value), kind) in tagger_spans(folded, odds(folded, [0] * len(folded)))


def test_the_layer_adds_what_the_rules_leave_and_takes_no_date_from_them() -> None:
    text = "21:30 沐辰哭闹，予安抚后入睡。2024-03-05复诊，3.12 沐辰复查血常规。"
    rules = [layer for layer in LAYERS if layer != "tagger"]
    before, after = (scrub(text, Known(), -77, layers=x) for x in (rules, LAYERS))
    assert after.text.count("沐辰") < before.text.count("沐辰")
    assert "2023-12-19" in after.text and "2023-12-19" in before.text
    # Ordered, apart, and each surrogate where its span was.
    ends = [0, *(r.end for r in after.replaced)]
    assert all(end <= r.start for end, r in zip(ends, after.replaced, strict=False))


def test_a_rule_that_takes_words_for_a_name_is_overruled() -> None:
    no = tagger.END - 1
    said = tagger_network.Odds(np.ones(5, np.int32), np.array([no, no, 9000, 9000, no], np.int32))
    assert tagger.agreed("安静方便面", said, 0, 2, "name") is None
    assert tagger.agreed("安静方便面", said, 1, 5, "name") == (2, 4)
    assert tagger.agreed("安静方便面", said, 2, 4, "name") == (2, 4)
    # A day is replaced as a whole or not at all.
    assert tagger.agreed("安静方便面", said, 1, 5, "date") == (1, 5)
    # What has a character that texts hardly have is a name.
    assert tagger.agreed("湉彧方便面", said, 0, 2, "name") == (0, 2)


@pytest.mark.parametrize("text, sure", [("于3月5日复查", True), ("于12日复查", False), ("于4.2复查", False)])
def test_a_month_and_a_day_are_never_taken_back(text: str, sure: bool) -> None:
    nothing = tagger_network.Odds(np.ones(len(text), np.int32), np.full(len(text), -(2**20), np.int32))
    ruled = [(1, text.index("复"), "date", "[日期]", "dates")]
    assert bool(joined(text, ruled, nothing)) == sure


def test_a_day_ends_where_a_time_begins_and_a_series_is_none() -> None:
    def days(folded: str, first: int, last: int) -> list[str]:
        margins = np.full(len(folded), -(2**15), np.int32)
        margins[first:last] = 2**14
        kinds = np.full(len(folded), KINDS.index("date"), np.int32)
        return [folded[s:e] for s, e, _ in tagger_spans(folded, tagger_network.Odds(kinds, margins))]

    assert days("到诊19.3.119:08", 2, 9) == ["19.3.1"]
    assert days("操作03-2108:00", 2, 7) == ["03-21"]
    assert days("换药4/20复查", 2, 6) == ["4/20"]
    assert days("接种0/3/7/14/28天", 2, 13) == [] == days("日数1 2 3 4 5 6", 2, 13)


def test_a_clinical_word_is_somebody_where_the_networks_are_certain_and_a_drug_never() -> None:
    def names(folded: str, first: int, last: int, margin: int) -> list[str]:
        margins = np.full(len(folded), -(2**15), np.int32)
        margins[first:last] = margin
        return [
            folded[s:e]
            for s, e, _ in tagger_spans(folded, tagger_network.Odds(np.ones(len(folded), np.int32), margins))
        ]

    word = next(w for w in sorted(CLINICAL_WORDS) if len(w) == 2 and w not in DRUGS)
    assert names(f"由{word}接班", 1, 3, tagger.CERTAIN + 1) == [word]
    assert names(f"由{word}接班", 1, 3, tagger.CERTAIN - 1) == []
    for term in ("川崎", "德巴金", "guardian "):
        assert names(f"由{term}接班", 1, 1 + len(term), 2**15) == []
    assert names("哈里森沟", 0, 4, tagger.CERTAIN - 1) == []
    known = "加强"
    assert known in tagger_network.weights().words and "加弪" not in tagger_network.weights().words
    assert names(f"责护{known}巡视", 2, 4, tagger.SURE_OF_A_WORD - 1) == []
    assert names(f"责护{known}巡视", 2, 4, tagger.SURE_OF_A_WORD + 1) == [known]
    text = "by guardian mia rossi."
    assert names(text, 3, len(text) - 1, 2**15) == ["mia rossi"]
    # An illness ends in 炎, and a certain name may.
    assert names("记录罗炎，", 2, 4, tagger.CERTAIN + 1) == ["罗炎"]
    assert names("记录罗炎，", 2, 4, tagger.CERTAIN - 1) == []


def test_bigrams_are_told_apart_and_the_first_row_is_for_none() -> None:
    rows = np.arange(2000)
    found = tagger_network.bigram_rows(rows[:-1], rows[1:], 32768)
    assert found.min() >= 1 and found.max() < 32768
    assert len(set(found.tolist())) > 1900
    assert (tagger_network.bigram_rows(rows[1:], rows[:-1], 32768) != found).mean() > 0.99


def test_eponyms_and_drugs_stay() -> None:
    for term in sorted({*EPONYMS, *DRUGS})[::3]:
        for frame in ("患儿{}诊断明确。", "予{}口服，", "家长{}、{}。"):
            folded = fold(frame.replace("{}", term))
            assert not list(tagger_spans(folded, odds(folded, [0] * len(folded))))


def test_what_the_networks_see_is_what_the_tables_say() -> None:
    folded = fold("急性支气管炎\U00020bb7某，a9𠮷b")
    codes = tagger_network.code_points(folded)
    assert codes.max() < 2**16 and len(codes) == len(folded)
    levels = tagger_network.pair_levels(codes)
    for at, level in enumerate(levels.tolist()):
        pair = folded[max(0, at - 1) : at + 1]
        if len(pair) < 2 or not all(map(is_chinese, pair)):
            assert level == 0
        else:
            assert level > 1 if pair in language().pair else level == 1
    words = ["支气", "支气管炎", "气管炎", "管炎", "急性支气管炎"]
    edges = tagger_network.Words(w for w in words if len(w) < 5).edges(codes).tolist()
    assert edges[:7] == [0, 0, 4 * 3, 4 * 2 + 1, 4 * 1, 3, 0] and not any(edges[7:])
    rows = tagger_network.Rows("支a")(tagger_network.code_points("支a气\U00020bb79。😀")).tolist()
    assert rows == [0, 1, 2, 2, 3, 4, 4]
    assert not len(tagger_network.Words(words).edges(codes[:1]).nonzero()[0])
