"""A text as the set of its n-grams: the stated rule of normalisation, compiled.

text (UTF-8) ─► each character spelled by the rule ─► tokens (characters or words) ─► n-grams ─► 64-bit hashes

The rule: every character is replaced by its NFKC form in lower case (full width becomes half width, ①
becomes 1), decimal digits of any script by ASCII digits (`digits: mask` makes them all 0), and white space,
control and format characters vanish. With `unit: word` those and punctuation end a word, and a Chinese
character or kana is a word by itself, because Chinese puts no space between words.
"""

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

TABLE = 0x30000
"""Code points from here on (rare Chinese characters) stand for themselves."""
MANY = np.uint32(1 << 31)
"""Marks a spelling of several characters; the rest of the number is its place in `Rule.longer`."""
GAP, RUN, ALONE = 0, 1, 2
U = np.uint64


def compiled(function: Callable) -> Callable:
    """Compile with numba, free of the interpreter's lock; keep the result where a cache can be written."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no folder that it may write to
        return njit(nogil=True)(function)


class Rule(NamedTuple):
    """How to read a text.

    `spelled` uint32[TABLE]: what a code point becomes, 0 for nothing. `longer` uint32[...]: for those marked
    MANY, a length and then the characters. `kind` uint8[TABLE]: GAP, RUN or ALONE, for words. `odd`
    uint64[ngram]: one factor for each place of an n-gram.
    """

    spelled: np.ndarray
    longer: np.ndarray
    kind: np.ndarray
    odd: np.ndarray
    words: bool


def odd_numbers(count: int, stream: int) -> np.ndarray:
    """uint64[count], odd; splitmix64, so that no library's version can change them."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(stream) * np.uint64(0xD1342543DE82EF95)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)


def spelling(character: str, mask: bool = False) -> str:
    """What one character becomes under the rule; "" for white space and what cannot be seen."""
    if ord(character) >= TABLE:
        return character
    form = unicodedata.normalize("NFKC", character).casefold()
    seen = []
    for c in unicodedata.normalize("NFKC", form):
        if c.isdecimal():
            seen.append("0" if mask else str(unicodedata.decimal(c)))
        elif not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Cs"):
            seen.append(c)
    return "".join(seen)


def normalised(text: str, digits: str = "keep") -> str:
    """The text under the rule, as the character n-grams see it."""
    return "".join(spelling(c, digits == "mask") for c in text)


@lru_cache(maxsize=4)
def rule(ngram: int, unit: str = "char", digits: str = "keep") -> Rule:
    """The tables of the rule, about 0.3 s the first time."""
    spelled = np.arange(TABLE, dtype=np.uint32)
    longer: list[int] = []
    kind = np.full(TABLE, GAP, np.uint8)
    for point in range(TABLE):
        character = chr(point)
        new = spelling(character, digits == "mask")
        if len(new) > 1:
            spelled[point] = int(MANY) + len(longer)
            longer += [len(new), *map(ord, new)]
        elif new != character:
            spelled[point] = ord(new) if new else 0
        if unicodedata.category(character)[0] in "LNM":
            kind[point] = ALONE if _stands_alone(point) else RUN
    kind[0] = GAP
    more = np.array(longer, np.uint32)
    return Rule(spelled, more, kind, odd_numbers(ngram, stream=1), unit == "word")


def _stands_alone(point: int) -> bool:
    """Chinese characters and kana."""
    return (
        0x2E80 <= point <= 0x2FDF or 0x3005 <= point <= 0x9FFF or 0xF900 <= point <= 0xFAFF or point > 0x1FFFF
    )


@compiled
def mixed(h):
    """Spread 64 bits over 64 bits (the finaliser of splitmix64)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@compiled
def _decoded(text, at):
    """(code point, next position) of the UTF-8 character at a position; the text is valid UTF-8.

    All is unsigned: numba then needs no test for a negative index, and reading is many times faster.
    """
    lead, low = U(text[at]), U(0x3F)
    if lead < U(0x80):
        return lead, at + U(1)
    second = U(text[at + U(1)]) & low
    if lead < U(0xE0):
        return ((lead & U(0x1F)) << U(6)) | second, at + U(2)
    third = U(text[at + U(2)]) & low
    if lead < U(0xF0):
        return ((lead & U(0x0F)) << U(12)) | (second << U(6)) | third, at + U(3)
    fourth = U(text[at + U(3)]) & low
    return ((lead & U(0x07)) << U(18)) | (second << U(12)) | (third << U(6)) | fourth, at + U(4)


@compiled
def _characters(text, start, stop, rule, tokens):
    """Write the spelled characters; returns how many."""
    count, at, end = U(0), U(start), U(stop)
    while at < end:
        point, at = _decoded(text, at)
        new = U(rule.spelled[point]) if point < U(TABLE) else point
        if new < U(MANY):
            tokens[count] = new
            count += U(new != U(0))
        else:
            place = new - U(MANY)
            for k in range(rule.longer[place]):
                tokens[count] = rule.longer[place + U(1) + U(k)]
                count += U(1)
    return np.int64(count)


@compiled
def _take(point, rule, tokens, count, word):
    """Add one spelled character; `word` is the hash of the word under way, 0 for none."""
    kind = rule.kind[point] if point < U(TABLE) else ALONE
    if kind == RUN:
        return count, mixed(word + point) | U(1)
    if word:
        tokens[count] = word
        count += 1
    if kind == ALONE:
        tokens[count] = point
        count += 1
    return count, U(0)


@compiled
def _words(text, start, stop, rule, tokens):
    """Write the words; returns how many."""
    count, word, at, end = 0, U(0), U(start), U(stop)
    while at < end:
        point, at = _decoded(text, at)
        new = U(rule.spelled[point]) if point < U(TABLE) else point
        if new < U(MANY):
            count, word = _take(new, rule, tokens, count, word)
        else:
            place = new - U(MANY)
            for k in range(rule.longer[place]):
                count, word = _take(U(rule.longer[place + U(1) + U(k)]), rule, tokens, count, word)
    if word:
        tokens[count] = word
        count += 1
    return count


@compiled
def spelled_tokens(text, start, stop, rule, tokens):
    """Write the tokens of the bytes start to stop to uint64[...]; returns how many."""
    if rule.words:
        return _words(text, start, stop, rule, tokens)
    return _characters(text, start, stop, rule, tokens)


@compiled
def spelled_length(text, start, stop, rule):
    """No fewer than the text has tokens."""
    count, at, end = U(0), U(start), U(stop)
    while at < end:
        point, at = _decoded(text, at)
        new = U(rule.spelled[point]) if point < U(TABLE) else point
        count += U(1) if new < U(MANY) else U(rule.longer[new - U(MANY)])
    return np.int64(count)


@compiled
def scratch(longest):
    """Room for one text of so many tokens: the tokens, and a table of hashes."""
    return np.empty(longest + 8, np.uint64), np.empty(mask_for(longest) + U(1), np.uint64)


@compiled
def place_of(value, table, mask):
    """Where a hash stands in an open table, or the empty place (0) where it belongs."""
    place = value & mask
    while table[place] != value and table[place] != U(0):
        place = (place + U(1)) & mask
    return place


@compiled
def mask_for(count):
    """The table of the smallest power of two that is half empty with so many entries: its bit mask."""
    size = 16
    while size < 2 * count:
        size *= 2
    return np.uint64(size - 1)


@compiled
def gram(tokens, first, odd):
    """64-bit hash of the n-gram that starts at a token; never 0."""
    h, at = U(0), U(first)
    for k in range(len(odd)):
        h += tokens[at + U(k)] * odd[U(k)]
    h = mixed(h)
    return h + U(h == U(0))


@compiled
def ngrams(text, start, stop, rule, room, out):
    """Write the distinct n-gram hashes of a text to `out`, in order of appearance, and to the table.

    Args:
      text: uint8[...], UTF-8. start, stop: the text's bytes. room: of `scratch`. out: uint64[tokens or more].

    Returns:
      (how many, the table's bit mask).
    """
    tokens, table = room
    count = spelled_tokens(text, start, stop, rule, tokens)
    mask, found = mask_for(count), U(0)
    for place in range(mask + U(1)):
        table[place] = U(0)
    for first in range(count - len(rule.odd) + 1):
        h = gram(tokens, first, rule.odd)
        place = place_of(h, table, mask)
        if table[place] == U(0):
            table[place] = out[found] = h
            found += U(1)
    return np.int64(found), mask


@compiled
def measure(text, begin, end, rule, lengths, sizes, prints, others, raws, first, last):
    """For records first to last: length, distinct n-grams, two fingerprints of the set, hash of the bytes."""
    longest = 0
    for row in range(first, last):
        lengths[row] = spelled_length(text, begin[row], end[row], rule)
        longest = max(longest, lengths[row])
    room = scratch(longest)
    out = np.empty(len(room[0]), np.uint64)
    for row in range(first, last):
        size, _ = ngrams(text, begin[row], end[row], rule, room, out)
        one, other, raw = U(0), U(0), U(0)
        for k in range(size):
            one += out[k]
            other += mixed(out[k])
        for k in range(end[row] - begin[row]):
            raw += mixed((U(k) << U(8)) | U(text[U(begin[row]) + U(k)]))
        sizes[row], prints[row], others[row], raws[row] = size, mixed(one), other, raw
