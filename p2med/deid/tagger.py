"""Two small trained networks over characters: what the rules leave, and what they are wrong about.

    随访人 向阳，已转苗苗班 -> 向阳, 苗苗班

Their odds are averaged. Six convolutions over the folded text see 32 characters to each side, and what the
rules found. Weights and activations are small integers held as float32: every sum stays below 2^24, so it is
exact and the same on every processor, in any order of summation. tagger.npz is made by
bench/deid_text_tagger.py.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from importlib import resources
from typing import IO, Any, NamedTuple

import numpy as np

from p2med.deid.folding import fold
from p2med.deid.keep import CLINICAL_WORDS, DRUGS, EPONYMS, is_kept, term_length
from p2med.deid.language import language
from p2med.deid.name_score import is_chinese
from p2med.deid.no_names import NAMED_AFTER

KINDS = ("", "name", "address", "hospital", "school", "company", "number", "bed", "date")
_NUMBER = KINDS.index("number")
DILATIONS = (1, 2, 4, 8, 16, 1)
REACH = sum(DILATIONS)
_PIECE = 2048
MOST = 127.0
"""Activations are 0..127 steps of 1/16; weights -127..127 steps of 1/128; sums steps of 1/2048."""
SHIFT = 128.0
_RARE = -13.0  # log of how often a character stands in texts
_PAIR_LEVELS = (-8.0, -6.5, -5.0, -3.5, -2.0)
_STARTS = frozenset(fold(term)[:2] for term in (*EPONYMS, *DRUGS, *CLINICAL_WORDS))
_NO_END = frozenset("病征症氏癜菌虫瘤炎液癌癣疮疹散剂膏肺肾骨沟囊腺鞭")
_NO_NEXT = frozenset("癜菌虫瘤炎癌癣疹鞭沟氏征")
# English whose blanks were lost, and the pages of a journal: 41(6):408-411.
_RUN_TOGETHER = re.compile(r"[a-z0-9.,:;()\-]*[a-z]{14,}[a-z0-9.,:;()\-]*")
_PAGES = re.compile(r"\d\)?:\d[\d\-.]*")
_LONGEST_RUN = 24
_RUNS = re.compile("[a-z']{2,}|[0-9]{2,}")
# What a number before is no date of: 10.8|±11.2, 10|-15ml, 2019|-ncov, 5日|后; but 4/25|±2天, 5.6|-5.9.
_MEASURES = re.compile(r"\s?[×*%℃]|\s?±(?!\s?\d+天)|-[a-z]|(?<=[日月])[后前内龄]")
_RANGE = re.compile(r"[-~/.]\d")
# By KINDS, in 1/2048: bench/deid_text_tagger_fit.py on writers that the network had not met, rounded.
SURE = [2**30, 2048, 3072, 16384, 4096, 8192, 6144, 6144, 8192]
"""A span of the network's own begins where its odds against nothing are above this,"""
ENOUGH = [0, -2048, -1024, 0, 0, 0, -2048, 0, -2048]
"""and runs on above this."""
NOTHING = [0, -1024, -4096, -4096, -1024, -1024, -2048, -16384, -2048]
"""A rule's span stays unless all of its odds are below this;"""
END = -8192
"""its ends go where they are below this."""


class Odds(NamedTuple):
    """For each character the likeliest of KINDS[1:], and its log odds against nothing in 1/2048."""

    kinds: Any
    against_nothing: Any


class Weights(NamedTuple):
    """Of all networks at once: the first axis of each array counts them."""

    index: dict[str, int]
    words: frozenset[str]
    chars: Any  # (networks, characters + 3, width of the embedding)
    said: Any  # (networks, 8 levels of pairs x 3 places of terms x 16 edges x 17 marks, width)
    bigrams: Any  # (networks, a hash, width of the embedding)
    layers: list[tuple[Any, Any]]  # (networks, 3: left, here, right; width in, width out), (networks, 1, out)
    last: tuple[Any, Any]


@lru_cache(maxsize=1)
def _weights() -> Weights:
    with resources.files("p2med.deid").joinpath("tagger.npz").open("rb") as file:
        return read_weights(file)


def read_weights(file: IO[bytes]) -> Weights:
    """The vocabulary, the words and `0.chars`, `0.w0`, `1.chars`...: networks that vote."""
    found = np.load(file, allow_pickle=False)
    count = 1 + max(int(name.split(".")[0]) for name in found.files if "." in name)

    def array(name: str) -> Any:
        return np.stack([found[f"{n}.{name}"] for n in range(count)]).astype(np.float32)

    # One look-up instead of four.
    said = array("pairs")[:, :, None, None, None] + array("terms")[:, None, :, None, None]
    said = said + array("edges")[:, None, None, :, None] + array("rules")[:, None, None, None]
    layers = []
    for n in range(len(DILATIONS)):
        w, b = array(f"w{n}"), array(f"b{n}")[:, None]
        # Dividing by a power of two changes no digit; the half rounds.
        layers.append((w.reshape(count, 3, -1, w.shape[-1]) / SHIFT, (b + SHIFT / 2) / SHIFT))
    return Weights(
        {c: n for n, c in enumerate(str(found["vocabulary"]))},
        frozenset(str(found["words"]).split()),
        array("chars"),
        said.reshape(count, -1, said.shape[-1]),
        array("bigrams"),
        layers,
        (array("last_w"), array("last_b")[:, None]),
    )


def character_index(c: str, index: dict[str, int]) -> int:
    """The row of a character; one of the last three rows for what the vocabulary lacks."""
    found = index.get(c)
    if found is None:
        found = len(index) + (0 if is_chinese(c) else 1 if c.isalnum() else 2)
    return found


def bigram_rows(before: Any, rows: Any, size: int) -> Any:
    """Each character with the one before it as one of `size` rows; the first row is for neither."""
    return (before * 7919 + rows) % (size - 1) + 1


@lru_cache(maxsize=1)
def _levels_of_pairs() -> dict[str, int]:
    return {pair: 2 + bisect_left(_PAIR_LEVELS, odds) for pair, odds in language().pair.items()}


def pair_levels(folded: str) -> list[int]:
    """How common each character is behind the one before it: 0 where one is no character, 1 never met."""
    get = _levels_of_pairs().get
    levels = [
        get(a + b) or int(is_chinese(a) and is_chinese(b)) for a, b in zip(folded, folded[1:], strict=False)
    ]
    return [0, *levels][: len(folded)]


def term_places(folded: str) -> list[int]:
    """1 where a word of medicine begins, 2 inside of it, 0 elsewhere."""
    places, end = [0] * len(folded), 0
    for at in range(len(folded)):
        if folded[at : at + 2] in _STARTS and (length := term_length(folded, at)):
            places[at] = places[at] or 1
            for inside in range(max(at + 1, end), at + length):
                places[inside] = 2
            end = max(end, at + length)
    return places


def word_edges(folded: str, words: Collection[str]) -> list[int]:
    """4 x the longest word that begins at a character + the longest that ends there: 0 none, or size - 1."""
    edges = [0] * len(folded)
    for size in (2, 3, 4):
        for at in [n for n in range(len(folded) - size + 1) if folded[n : n + size] in words]:
            edges[at] = edges[at] % 4 + 4 * (size - 1)
            edges[at + size - 1] = edges[at + size - 1] // 4 * 4 + size - 1
    return edges


def rule_marks(size: int, spans: Iterable[tuple[int, int, str]]) -> list[int]:
    """What the rules say of each character: 0 nothing, 1..8 inside one of KINDS, 9..16 where one begins."""
    marks = [0] * size
    for start, end, kind in sorted(spans, key=lambda s: (s[0], -s[1], s[2])):
        if kind != "age" and start < end and not marks[start]:
            number = KINDS.index(kind) if kind in KINDS else _NUMBER
            marks[start:end] = [m or number for m in marks[start:end]]
            marks[start] = number + len(KINDS) - 1
    return marks


def odds(folded: str, marks: list[int]) -> Odds:
    """What the networks say of each character on average, told what the rules say."""
    x = _embedded(folded, marks)
    levels = np.zeros((len(folded), len(KINDS)), np.int32)
    for start in range(0, len(folded), _PIECE):
        before = max(0, start - REACH)
        piece = _logits(x[:, before : start + _PIECE + REACH])
        levels[start : start + _PIECE] = piece.sum(axis=0).astype(np.int32)[start - before :][:_PIECE]
    levels //= len(x)
    kinds = levels[:, 1:].argmax(axis=1) + 1
    return Odds(kinds, levels[:, 1:].max(axis=1) - levels[:, 0])


def _embedded(folded: str, marks: list[int]) -> Any:
    """(networks, characters, width), in 1/16."""
    weights = _weights()
    get = weights.index.get
    rows = [n if (n := get(c)) is not None else character_index(c, weights.index) for c in folded]
    before = np.array([0, *rows], np.int64)[: len(rows)]
    said = np.array(pair_levels(folded), np.int64)
    for numbers, size in (
        (term_places(folded), 3),
        (word_edges(folded, weights.words), 16),
        (marks, 2 * len(KINDS) - 1),
    ):
        said = said * size + np.array(numbers, np.int64)
    chars = np.array(rows, np.int64)
    x = weights.chars[:, chars]
    x += weights.said[:, said]
    x += weights.bigrams[:, bigram_rows(before, chars, weights.bigrams.shape[1])]
    return np.clip(x, -MOST, MOST, out=x)


def _logits(x: Any) -> Any:
    """(networks, characters, kinds), in 1/2048."""
    weights = _weights()
    for n, ((w, b), step) in enumerate(zip(weights.layers, DILATIONS, strict=True)):
        y = x @ w[:, 1]
        if step < x.shape[1]:
            y[:, step:] += x[:, :-step] @ w[:, 0]
            y[:, :-step] += x[:, step:] @ w[:, 2]
        y += b
        np.floor(y, out=y)
        np.maximum(y, 0, out=y)
        if n:
            y += x
        x = np.minimum(y, MOST, out=y)
    return x @ weights.last[0] + weights.last[1]


def _is_term(folded: str, start: int, end: int) -> bool:
    """Of medicine, named after somebody: 墨菲|征, 庞贝病, 亨诺-|许兰."""
    return bool(
        folded[end - 1] in _NO_END
        or NAMED_AFTER.match(folded, end)
        or folded[start - 1 : start] in ("-", "–", "—")
        and is_chinese(folded[start - 2 : start - 1] or " ")
        or folded[end : end + 1] in _NO_NEXT
    )


def _whole_words(folded: str, start: int, end: int) -> tuple[int, int]:
    """No word in Latin letters and no number goes in part."""
    for run in _RUNS.finditer(folded, max(0, start - _LONGEST_RUN), end + _LONGEST_RUN):
        first, last = run.span()
        if first < start < last:
            start = first
        if first < end < last:
            end = last
    return start, end


def _may_be_date(folded: str, start: int, end: int) -> bool:
    said = folded[start:end].rstrip("-~/.")
    end = start + len(said)
    return not (
        _MEASURES.match(folded, end) or len(said) < 3 and said.isdecimal() and _RANGE.match(folded, end)
    )


def agreed(folded: str, found: Odds, start: int, end: int, kind: str) -> tuple[int, int] | None:
    """A rule's span without the ends that the network is sure of being nothing; None if all of it is."""
    number = KINDS.index(kind) if kind in KINDS else _NUMBER
    odds = found.against_nothing[start:end]
    if odds.max() < NOTHING[number]:
        # A character that texts hardly have is a name's: 何湉彧.
        known = language().char
        if kind != "name" or all(known.get(c, -99.0) > _RARE for c in filter(is_chinese, folded[start:end])):
            return None
    if kind == "date":
        return start, end  # Its replacement is of the whole.
    sure = np.flatnonzero(odds >= END)
    if not len(sure):
        return start, end
    # Of what it is called at its end the rules are surer: 江南水岸小|区.
    return start + int(sure[0]), start + int(sure[-1]) + 1 if kind == "name" else end


def tagger_spans(folded: str, found: Odds) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each run of characters of which one is surely of that kind."""
    kinds, margins = found
    at = 0
    sure = np.flatnonzero(margins > np.take(SURE, kinds)).tolist()
    literature = [m.span() for p in (_RUN_TOGETHER, _PAGES) for m in p.finditer(folded)] if sure else []
    for peak in sure:
        if peak < at:
            continue
        kind, enough = KINDS[int(kinds[peak])], ENOUGH[int(kinds[peak])]
        start = peak
        while start > at and margins[start - 1] > enough:
            start -= 1
        end = peak + 1
        while end < len(folded) and margins[end] > enough:
            end += 1
        at = end
        start, end = _whole_words(folded, start, end)
        if any(start < stop and first < end for first, stop in literature):
            continue
        if kind == "date" and not _may_be_date(folded, start, end):
            continue
        if not (kind == "name" and _is_term(folded, start, end) or is_kept(folded, start, end)):
            yield start, end, kind
