"""The networks of the tagger, and what they see: characters, pairs, words, terms, what the rules found.

Six convolutions see 32 characters to each side. Weights and activations are small integers held as float32:
every sum stays below 2^24, so it is exact and the same on every processor, in any order of summation.
tagger.npz is made by bench/deid_text_tagger.py.
"""

from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from typing import IO, Any, NamedTuple

import numpy as np

from p2med.deid.keep import terms_in
from p2med.deid.language import language
from p2med.deid.name_score import is_chinese

KINDS = ("", "name", "address", "hospital", "school", "company", "number", "bed", "date")
NUMBER = KINDS.index("number")
DILATIONS = (1, 2, 4, 8, 16, 1)
REACH = sum(DILATIONS)
MOST = 127.0
"""Activations are 0..127 steps of 1/16; weights -127..127 steps of 1/128; sums steps of 1/2048."""
SHIFT = 128.0
_PIECE = 2048
_PAIR_LEVELS = (-8.0, -6.5, -5.0, -3.5, -2.0)
_WORD_SIZES = (2, 3, 4)
_LAST, _CHINESE_BEYOND = 0xFFFF, 0x20000
_SEEN_AS = ord("㐀")
"""No table has a character beyond the basic plane; a Chinese one counts as this, which none has either."""


class Odds(NamedTuple):
    """For each character the likeliest of KINDS[1:], and its log odds against nothing in 1/2048."""

    kinds: Any
    against_nothing: Any


class Rows:
    """A row for each character; one of the last three for Chinese, letters and signs without their own."""

    def __init__(self, vocabulary: str) -> None:
        size = len(vocabulary)
        others = [0 if is_chinese(c) else 1 if c.isalnum() else 2 for c in map(chr, range(_LAST + 1))]
        self._rows = np.array(others, np.int64) + size
        self._rows[[ord(c) for c in vocabulary]] = np.arange(size)

    def __call__(self, codes: Any) -> Any:
        """(length,) from code points, as code_points has them."""
        return self._rows[codes]


class Words:
    """Words of two to four characters."""

    def __init__(self, words: Iterable[str]) -> None:
        known = list(words)
        self._keys = {
            size: np.unique(_keys(code_points("".join(w for w in known if len(w) == size)), size)[::size])
            for size in _WORD_SIZES
        }

    def __contains__(self, word: str) -> bool:
        known = self._keys.get(len(word))
        return known is not None and bool(_found(_keys(code_points(word), len(word)), known)[1].all())

    def edges(self, codes: Any) -> Any:
        """4 x the longest word that begins at each character + the longest that ends there: 0 or size - 1."""
        begun, ended = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.int64)
        for size in _WORD_SIZES:
            at = np.flatnonzero(_found(_keys(codes, size), self._keys[size])[1])
            begun[at] = size - 1
            ended[at + size - 1] = size - 1
        return 4 * begun + ended


class Weights(NamedTuple):
    """Of all networks at once: the first axis of each array counts them."""

    rows: Rows
    words: Words
    chars: Any  # (networks, characters + 3, width of the embedding)
    said: Any  # (networks, 8 levels of pairs x 3 places of terms x 16 edges x 17 marks, width)
    bigrams: Any  # (networks, a hash, width of the embedding)
    layers: list[tuple[Any, Any]]  # (networks, 3: left, here, right; width in, width out), (networks, 1, out)
    last: tuple[Any, Any]


@lru_cache(maxsize=1)
def weights() -> Weights:
    """tagger.npz, read once a process."""
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
        Rows(str(found["vocabulary"])),
        Words(str(found["words"]).split()),
        array("chars"),
        said.reshape(count, -1, said.shape[-1]),
        array("bigrams"),
        layers,
        (array("last_w"), array("last_b")[:, None]),
    )


def code_points(folded: str) -> Any:
    """(length,) below 2^16."""
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    beyond = np.where(codes >= _CHINESE_BEYOND, _SEEN_AS, _LAST)
    return np.where(codes > _LAST, beyond, codes).astype(np.uint64)


def _keys(codes: Any, size: int) -> Any:
    """(length - size + 1,) each `size` characters beside each other as one number."""
    keys = codes[: max(0, len(codes) - size + 1)]
    for n in range(1, size):
        keys = keys << np.uint64(16) | codes[n : n + len(keys)]
    return keys


def _found(keys: Any, known: Any) -> tuple[Any, Any]:
    """Where each key would stand in the ordered `known`, and whether it is there."""
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return places, known[places] == keys


@lru_cache(maxsize=1)
def _pairs() -> tuple[Any, Any]:
    """Pairs that texts have, in order, and how common each is: 2 to 7."""
    known = language().pair
    keys = _keys(code_points("".join(known)), 2)[::2]
    levels = 2 + np.searchsorted(_PAIR_LEVELS, list(known.values()))
    order = np.argsort(keys)
    return keys[order], levels[order]


@lru_cache(maxsize=1)
def _chinese() -> Any:
    return np.array([is_chinese(chr(code)) for code in range(_LAST + 1)])


def pair_levels(codes: Any) -> Any:
    """How common each character is behind the one before it: 0 where one is no character, 1 never met."""
    chinese = _chinese()[codes]
    known, levels = _pairs()
    places, met = _found(_keys(codes, 2), known)
    found = np.zeros(len(codes), np.int64)
    found[1:] = np.where(met, levels[places], chinese[:-1] & chinese[1:])
    return found


def term_places(folded: str) -> list[int]:
    """1 where a word of medicine begins, 2 inside of it, 0 elsewhere."""
    places = [0] * len(folded)
    for start, end in terms_in(folded):
        places[start] = places[start] or 1
        places[start + 1 : end] = [2] * (end - start - 1)
    return places


def bigram_rows(before: Any, rows: Any, size: int) -> Any:
    """Each character with the one before it as one of `size` rows; the first row is for neither."""
    return (before * 7919 + rows) % (size - 1) + 1


def rule_marks(size: int, spans: Iterable[tuple[int, int, str]]) -> list[int]:
    """What the rules say of each character: 0 nothing, 1..8 inside one of KINDS, 9..16 where one begins."""
    marks = [0] * size
    for start, end, kind in sorted(spans, key=lambda s: (s[0], -s[1], s[2])):
        if kind != "age" and start < end and not marks[start]:
            number = KINDS.index(kind) if kind in KINDS else NUMBER
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
    known = weights()
    codes = code_points(folded)
    said = pair_levels(codes)
    for numbers, size in (
        (term_places(folded), 3),
        (known.words.edges(codes), 16),
        (marks, 2 * len(KINDS) - 1),
    ):
        said = said * size + np.asarray(numbers, np.int64)
    rows = known.rows(codes)
    before = np.concatenate([np.zeros(1, np.int64), rows])[: len(rows)]
    x = known.chars[:, rows]
    x += known.said[:, said]
    x += known.bigrams[:, bigram_rows(before, rows, known.bigrams.shape[1])]
    return np.clip(x, -MOST, MOST, out=x)


def _logits(x: Any) -> Any:
    """(networks, characters, kinds), in 1/2048."""
    known = weights()
    for n, ((w, b), step) in enumerate(zip(known.layers, DILATIONS, strict=True)):
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
    return x @ known.last[0] + known.last[1]
