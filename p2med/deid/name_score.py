"""A learned judge of names: integer weights of what a name is made of and what stands beside it.

`家属刘燕|学会吸痰`, not `家属刘燕学|会吸痰`        `车主郑玉英。` -> a name, although 车主 is in no list

The weights (name_weights.csv: feature, weight) are trained by bench/deid_text_names.py; they are integers, so
every machine decides alike.
"""

import csv
from functools import lru_cache
from importlib import resources

from p2med.deid.cues import PROFESSION, TITLE
from p2med.deid.language import language
from p2med.deid.name_likelihood import Cue, likelihood

SCALE = 32
"""Weights are log odds in units of 1/32."""
_GAP = frozenset(" \u3000\t:(\"“'【[『「,、;=/—-|")
_LONGEST_GAP = 4
_UNLIKELY, _LEAST, _MOST = -8, -12, 14
"""Of the likelihood: below the first no name has to be judged; the others bound its feature."""
_FAR_BEFORE, _FAR_AFTER = 5, 4
"""So many Chinese characters before and behind a name make a difference."""


def is_chinese(c: str) -> bool:
    return "\u4e00" <= c <= "\u9fff" or "\u3400" <= c <= "\u4dbf" or c >= "\U00020000"


def _kind_of(c: str) -> str:
    """A class of a character that is no Chinese one."""
    if not c or c == "\n":
        return "$"
    if c.isspace():
        return "_"
    if c.isdecimal():
        return "9"
    return "a" if "a" <= c <= "z" else c


class Left:
    """What stands before a name that begins at `start`: the same for each of its ends."""

    def __init__(self, folded: str, start: int, cue: Cue | None) -> None:
        before = folded[start - 1 : start]
        at = start
        while at > max(0, start - _LONGEST_GAP) and folded[at - 1] in _GAP:
            at -= 1
        gap = "".join(_kind_of(c) for c in folded[at:start])[:2]
        last = folded[max(0, at - 2) : at]
        self.cue = cue
        self.side = "c" if is_chinese(before) else _kind_of(before)
        self.kind = cue.kind if cue else self.side + "none"
        said = f"{cue.kind}{'1' if cue.short else ''}{gap}" if cue else "none"
        self.said = self.side + said
        self.features = [
            f"L{self.side}",
            f"l{before if self.side == 'c' else self.side}",
            f"m{last}{gap}",
            f"q{last[-1:]}{gap}",
            f"c{said}",
        ]
        self.far = 0
        while self.far < min(_FAR_BEFORE, start) and is_chinese(folded[start - self.far - 1]):
            self.far += 1


def features(folded: str, start: int, given_at: int, stop: int, left: Left) -> list[str] | None:
    """What speaks for or against the name [start, stop), given name from `given_at`; None: surely none."""
    known = language()
    surname, given = folded[start:given_at], folded[given_at:stop]
    compound = len(surname) > 1
    likely = round(likelihood(folded, surname, given, stop, left.cue, compound))
    if likely < _UNLIKELY:
        return None
    likely = max(_LEAST, min(_MOST, likely))
    before, after = folded[start - 1 : start], folded[stop : stop + 1]
    size = len(given) + (4 if compound else 0)
    as_name = known.name(surname, given)
    found = [
        f"v{likely}",
        f"r{size}{int(as_name - known.words('', surname + given))}",
        f"n{size}{int(as_name)}",
        "s" + surname,
        "g" + given[-1],
        *left.features,
    ]
    if is_chinese(before):
        found.append(f"b{int(2 * known.after(before, surname[0]))}")
    far = 0
    if is_chinese(after):
        side = "c"
        found += [
            f"e{size}{int(2 * known.after(given[-1], after))}",
            "a" + after,
            "A" + folded[stop : stop + 2],
        ]
        if len(given) < 3:
            found.append(f"x{size}{int(known.given.get(after, -11.0))}")
        while far < _FAR_AFTER and is_chinese(folded[stop + far : stop + far + 1]):
            far += 1
    else:
        side = _kind_of(after)
        found += ["a" + side, "A" + side + folded[stop + 1 : stop + 3].strip()]
    found += [
        f"BL{left.side}{side}{size}",
        f"C{left.said}{side}",
        f"R{left.far}{far}{size}",
        f"V{likely // 2}{left.kind}{side}",
    ]
    title = "p" if PROFESSION.match(folded, stop) else "t" if TITLE.match(folded, stop) else ""
    if title:
        found.append(f"T{title}{size}L{left.side}")
    return found


@lru_cache(maxsize=1)
def weights() -> dict[str, int]:
    """name_weights.csv, read once a process; what is not in it weighs nothing."""
    with (
        resources.files("p2med.deid").joinpath("name_weights.csv").open(encoding="utf-8", newline="") as file
    ):
        return {feature: int(weight) for feature, weight in csv.reader(file)}


def score(folded: str, start: int, given_at: int, stop: int, left: Left) -> int | None:
    """Log odds, in 1/SCALE, that [start, stop) is a name; None: surely none."""
    found = features(folded, start, given_at, stop, left)
    if found is None:
        return None
    get = weights().get
    return sum(get(f, 0) for f in found)
