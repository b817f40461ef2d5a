"""The stated rule of normalisation, against a plain Python reading of it."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2med.curate.shingles import (
    _decoded,
    measure,
    normalised,
    rule,
    scratch,
    spelled_tokens,
)


def tokens(text: str, unit: str = "char", digits: str = "keep") -> np.ndarray:
    """What the compiled code reads of a text."""
    data = np.frombuffer(text.encode(), np.uint8)
    room = scratch(18 * len(text) + 1)[0]
    return room[: spelled_tokens(data, 0, len(data), rule(5, unit, digits), room)].copy()


def as_text(points: np.ndarray) -> str:
    return "".join(map(chr, points.tolist()))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_compiled_and_plain_reading_agree_on_any_text(text):
    assert as_text(tokens(text)) == normalised(text)
    assert as_text(tokens(text, digits="mask")) == normalised(text, "mask")


def test_every_code_point_reads_as_the_rule_says():
    for start in range(0, 0x110000, 0x1000):
        text = "".join(chr(p) for p in range(start, start + 0x1000) if not 0xD800 <= p <= 0xDFFF)
        assert as_text(tokens(text)) == normalised(text), hex(start)
        if start >= 0x30000:  # rare characters stand for themselves
            assert normalised(text) == text


def test_every_length_of_utf8_is_decoded():
    for character in "a\x7f\x80é߿ࠀ咳￿𐀀😀\U0010ffff":
        data = np.frombuffer(character.encode() + b"a", np.uint8)
        point, after = _decoded(data, np.uint64(0))
        assert (point, after) == (ord(character), len(character.encode()))


@pytest.mark.parametrize(
    "one, other",
    [
        ("体温 ３９．５℃\n咳嗽", "体温39.5°C咳嗽"),  # width, white space, compatibility forms
        ("Ｘ线 PCR（＋）", "x线pcr(+)"),  # case
        ("①发热②咳嗽", "1发热2咳嗽"),
        ("٣٩ 度", "39度"),  # digits of another script
        ("咳\u200b嗽\u3000\ufeff三\xad天", "咳嗽三天"),  # invisible characters
        ("㎎/㎏", "mg/kg"),
    ],
)
def test_what_makes_no_difference(one, other):
    assert normalised(one) == normalised(other) == other.casefold().replace("℃", "°c")
    assert np.array_equal(tokens(one), tokens(other))


@pytest.mark.parametrize(
    "one, other", [("39.5", "39.4"), ("左肺", "右肺"), ("未见", "可见"), ("咳。", "咳,")]
)
def test_what_makes_a_difference(one, other):
    assert normalised(one) != normalised(other)


def test_masked_digits_are_all_equal():
    assert normalised("39.5度３天", "mask") == "00.0度0天"


def test_words_are_latin_runs_and_single_chinese_characters():
    assert len(tokens("Chest X-ray: 双肺clear, no effusion.", "word")) == 8
    same = tokens("chest  x ray 双 肺 CLEAR no effusion", "word")
    assert np.array_equal(tokens("Chest X-ray: 双肺clear, no effusion.", "word"), same)
    assert len(set(same.tolist())) == 8


def measured(texts: list[str], ngram: int = 5) -> list[tuple]:
    data = np.frombuffer("".join(texts).encode() or b"\0", np.uint8)
    ends = np.cumsum([len(t.encode()) for t in texts])
    lengths, sizes = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    prints, others, raws = (np.zeros(len(texts), np.uint64) for _ in range(3))
    begins = np.concatenate([[0], ends[:-1]])
    measure(data, begins, ends, rule(ngram), lengths, sizes, prints, others, raws, 0, len(texts))
    return list(
        zip(lengths.tolist(), sizes.tolist(), prints.tolist(), others.tolist(), raws.tolist(), strict=True)
    )


def test_measures_count_distinct_ngrams_and_tell_sets_apart():
    texts = ["咳嗽三天伴发热", "咳嗽 三天伴发热", "咳" * 50, "发热三天伴咳嗽", "", "咳嗽三"]
    found = measured(texts)
    for text, (length, size, *_) in zip(texts, found, strict=True):
        plain = normalised(text)
        assert length >= len(plain)
        assert size == len({plain[i : i + 5] for i in range(len(plain) - 4)})
    assert found[0][2:4] == found[1][2:4] and found[0][4] != found[1][4]
    assert len({f[2] for f in found[:1] + found[2:4]}) == 3


def test_the_tables_hold_what_unicode_says_of_chinese():
    made = rule(5)
    assert all(made.spelled[ord(c)] == ord(c) for c in "咳嗽发热" if unicodedata.category(c) == "Lo")
    assert made.spelled[ord("　")] == 0 and made.spelled[ord("Ａ")] == ord("a")
