"""A small trained network over characters: names, places and numbers that no rule and no list finds.

    随访人 向阳，已转苗苗班 -> 向阳, 苗苗班

Five convolutions over the folded text see 16 characters to each side. Weights and activations are small
integers held as float32: every sum stays below 2^24, so it is exact and the same on every processor, in any
order of summation. tagger.npz is made by bench/deid_text_tagger.py.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from p2med.deid.folding import CHINESE, fold
from p2med.deid.keep import CLINICAL_WORDS, DRUGS, EPONYMS, is_kept, term_length
from p2med.deid.language import language
from p2med.deid.name_score import is_chinese
from p2med.deid.no_names import NAMED_AFTER

KINDS = ("", "name", "address", "hospital", "school", "company", "number", "bed", "date")
DILATIONS = (1, 2, 4, 8, 1)
REACH = sum(DILATIONS)
MOST = 127.0
"""Activations are 0..127 steps of 1/16; weights -127..127 steps of 1/128; sums steps of 1/2048."""
SHIFT = 128.0
_PAIR_LEVELS = (-8.0, -6.5, -5.0, -3.5, -2.0)
_PIECE = 2048
_STARTS = frozenset(fold(term)[:2] for term in (*EPONYMS, *DRUGS, *CLINICAL_WORDS))
_NO_END = frozenset("病征症氏癜菌虫瘤炎液癌癣疮疹散剂膏肺肾骨沟囊腺鞭")
_NO_NEXT = frozenset("癜菌虫瘤炎癌癣疹鞭沟氏征")
# English whose blanks were lost, and the pages of a journal: 41(6):408-411.
_RUN_TOGETHER = re.compile(r"[a-z0-9.,:;()\-]*[a-z]{14,}[a-z0-9.,:;()\-]*")
_PAGES = re.compile(r"\d\)?:\d[\d\-.]*")
_LATIN = re.compile("[a-z']")
SURE = np.array([2**30, 6144, 8192, 14336, 8192, 8192, 8192, 16384, 12288], np.int32)
"""By KINDS: a span begins where the odds are above this and runs on above ENOUGH, names ENOUGH_OF_NAMES."""
ENOUGH, ENOUGH_OF_NAMES = 0, 2048
# The rules know better which 10.8 is a day and which a measurement; a number of one piece is none of a gene.
_FORMS = {
    "date": re.compile(r".*[年月日号初旬].{0,3}"),
    "number": re.compile(rf"(?!rs\d)[^{CHINESE}]+"),
}
NO_NAME = -8192


class Odds(NamedTuple):
    """For each character the likeliest of KINDS[1:], and its log odds against nothing in 1/2048."""

    kinds: Any
    against_nothing: Any


class _Weights(NamedTuple):
    index: dict[str, int]
    chars: Any  # (characters + 3, width of the embedding)
    pairs: Any  # (8, width of the embedding)
    terms: Any  # (3, width of the embedding)
    edges: Any  # (16, width of the embedding)
    words: frozenset[str]
    layers: list[tuple[Any, Any]]  # (3 x width in, width out), (width out,)
    last: tuple[Any, Any]


@lru_cache(maxsize=1)
def _weights() -> _Weights:
    with resources.files("p2med.deid").joinpath("tagger.npz").open("rb") as file:
        found = np.load(file, allow_pickle=False)
        arrays = {
            name: found[name].astype(np.float32) for name in found.files if found[name].dtype.kind != "U"
        }
        vocabulary, words = str(found["vocabulary"]), frozenset(str(found["words"]).split())
    layers = [(arrays[f"w{n}"], arrays[f"b{n}"]) for n in range(len(DILATIONS))]
    index = {c: n for n, c in enumerate(vocabulary)}
    tables = (arrays[name] for name in ("chars", "pairs", "terms", "edges"))
    return _Weights(index, *tables, words, layers, (arrays["last_w"], arrays["last_b"]))


def character_index(c: str, index: dict[str, int]) -> int:
    """The row of a character; one of the last three rows for what the vocabulary lacks."""
    found = index.get(c)
    if found is None:
        found = len(index) + (0 if is_chinese(c) else 1 if c.isalnum() else 2)
    return found


def pair_levels(folded: str) -> list[int]:
    """How common each character is behind the one before it: 0 where one is no character, 1 never met."""
    pair = language().pair
    levels = [0] * min(1, len(folded))
    for at in range(1, len(folded)):
        odds = pair.get(folded[at - 1 : at + 1])
        if odds is not None:
            levels.append(2 + bisect_left(_PAIR_LEVELS, odds))
        else:
            levels.append(int(is_chinese(folded[at]) and is_chinese(folded[at - 1])))
    return levels


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
        for at in range(len(folded) - size + 1):
            if folded[at : at + size] in words:
                edges[at] = edges[at] % 4 + 4 * (size - 1)
                edges[at + size - 1] = edges[at + size - 1] // 4 * 4 + size - 1
    return edges


def odds(folded: str) -> Odds:
    """What the network says of each character."""
    size = len(folded)
    kinds, margins = np.zeros(size, np.int32), np.zeros(size, np.int32)
    x = _embedded(folded)
    for start in range(0, size, _PIECE):
        before = max(0, start - REACH)
        levels = _logits(x[before : start + _PIECE + REACH])[start - before :][:_PIECE]
        stop = start + len(levels)
        kinds[start:stop] = levels[:, 1:].argmax(axis=1) + 1
        margins[start:stop] = levels[:, 1:].max(axis=1) - levels[:, 0]
    return Odds(kinds, margins)


def _embedded(folded: str) -> Any:
    """(characters, width), in 1/16."""
    weights = _weights()
    get = weights.index.get
    rows = [n if (n := get(c)) is not None else character_index(c, weights.index) for c in folded]
    x = weights.chars[rows] + weights.pairs[pair_levels(folded)]
    x += weights.terms[term_places(folded)]
    x += weights.edges[word_edges(folded, weights.words)]
    return np.clip(x, -MOST, MOST)


def _logits(x: Any) -> Any:
    """(characters, kinds), in 1/2048."""
    weights = _weights()
    size = len(x)
    for n, ((w, b), step) in enumerate(zip(weights.layers, DILATIONS, strict=True)):
        width = x.shape[1]
        near = np.zeros((size, 3 * width), np.float32)
        near[step:, :width] = x[: max(0, size - step)]
        near[:, width : 2 * width] = x
        near[: max(0, size - step), 2 * width :] = x[step:]
        y = near @ w
        y += b + SHIFT / 2
        y *= 1 / SHIFT
        np.floor(y, out=y)
        np.maximum(y, 0, out=y)
        x = np.minimum(y if n == 0 else x + np.minimum(y, MOST), MOST)
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


def is_no_name(found: Odds, start: int, end: int) -> bool:
    """True where the network is so sure of nothing that a rule without a list is wrong."""
    return start < end and bool(found.against_nothing[start:end].max() < NO_NAME)


def tagger_spans(folded: str, found: Odds) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each run of characters of which one is surely of that kind."""
    kinds, margins = found
    at = 0
    sure = np.flatnonzero(margins > SURE[kinds]).tolist()
    literature = [m.span() for p in (_RUN_TOGETHER, _PAGES) for m in p.finditer(folded)] if sure else []
    for peak in sure:
        if peak < at:
            continue
        kind = KINDS[int(kinds[peak])]
        enough = ENOUGH_OF_NAMES if kind == "name" else ENOUGH
        start = peak
        while start > at and margins[start - 1] > enough:
            start -= 1
        end = peak + 1
        while end < len(folded) and margins[end] > enough:
            end += 1
        at = end
        while _LATIN.match(folded, end) and _LATIN.match(folded, end - 1):
            end += 1
        if any(start < stop and first < end for first, stop in literature):
            continue
        if kind in _FORMS and not _FORMS[kind].fullmatch(folded, start, end):
            continue
        if not (kind == "name" and _is_term(folded, start, end) or is_kept(folded, start, end)):
            yield start, end, kind
