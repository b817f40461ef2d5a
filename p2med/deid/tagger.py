"""A small trained network over characters: names, places and numbers that no rule and no list finds.

    随访人 向阳，已转苗苗班 -> 向阳, 苗苗班

Five convolutions over the folded text see 16 characters to each side. Weights and activations are small
integers held as float32: every sum stays below 2^24, so it is exact and the same on every processor, in any
order of summation. tagger.npz is made by bench/deid_text_tagger.py.
"""

from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from p2med.deid.keep import is_kept, term_length
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
_NO_END = frozenset("病征症氏癜菌虫瘤炎液癌癣疮疹散剂膏汤丸肺肾骨沟囊腺管毛鞭")
_NO_NEXT = frozenset("癜菌虫瘤炎癌癣疹毛鞭沟氏征")
OF_NAMES, OF_OTHERS = (6144, 2048), (8192, 0)
"""Of names, of all else: a span begins where the odds are above the first, and runs on above the second."""


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
            levels.append(2 + sum(odds > level for level in _PAIR_LEVELS))
        else:
            levels.append(int(is_chinese(folded[at]) and is_chinese(folded[at - 1])))
    return levels


def term_places(folded: str) -> list[int]:
    """1 where a word of medicine begins, 2 inside of it, 0 elsewhere."""
    places, end = [0] * len(folded), 0
    for at in range(len(folded)):
        if length := term_length(folded, at):
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


def odds(folded: str) -> tuple[Any, Any]:
    """(kind, odds) of each character: the likeliest of KINDS[1:], its log odds against nothing in 1/2048."""
    size = len(folded)
    kinds, margins = np.zeros(size, np.int32), np.zeros(size, np.int32)
    x = _embedded(folded)
    for start in range(0, size, _PIECE):
        before = max(0, start - REACH)
        levels = _logits(x[before : start + _PIECE + REACH])[start - before :][:_PIECE]
        stop = start + len(levels)
        kinds[start:stop] = levels[:, 1:].argmax(axis=1) + 1
        margins[start:stop] = levels[:, 1:].max(axis=1) - levels[:, 0]
    return kinds, margins


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


def tagger_spans(folded: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each run of characters of which one is surely of that kind."""
    kinds, margins = odds(folded)
    at = 0
    names = kinds == KINDS.index("name")
    for peak in np.flatnonzero(margins > np.where(names, OF_NAMES[0], OF_OTHERS[0])).tolist():
        if peak < at:
            continue
        enough = (OF_NAMES if names[peak] else OF_OTHERS)[1]
        start = peak
        while start > at and margins[start - 1] > enough:
            start -= 1
        at = peak + 1
        while at < len(folded) and margins[at] > enough:
            at += 1
        if not (names[peak] and _is_term(folded, start, at) or is_kept(folded, start, at)):
            yield start, at, KINDS[int(kinds[peak])]
