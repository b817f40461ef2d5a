"""How likely characters are as words and as a name: tables made by bench/deid_text_language.py.

`高热` is a word, `高玥` a name: log P(高玥 | name) - log P(高玥 | words) > 0.
"""

import csv
from functools import lru_cache
from importlib import resources

from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

_RARE_CHARACTER = -12.5
_RARE_SURNAME = -9.0
_RARE_GIVEN = -10.5
_NO_PAIR = -1.5
_HARDLY_EVER = -13.0


class Language:
    """Log probabilities; a pair that was never met falls back on its second character."""

    def __init__(self) -> None:
        self.char: dict[str, float] = {}
        self.pair: dict[str, float] = {}
        self.surname: dict[str, float] = {}
        self.given: dict[str, float] = {}
        self.whole: dict[str, float] = {}
        tables = {"char": self.char, "pair": self.pair, "surname": self.surname, "given": self.given}
        tables["whole"] = self.whole
        with resources.files("p2med.deid").joinpath("language.csv").open(encoding="utf-8") as file:
            for kind, first, chars, level in csv.reader(file):
                value = float(level)
                tables[kind].update((first + c, value) for c in chars)
        for s in SURNAMES:
            self.surname.setdefault(s, _RARE_SURNAME)
        for s in COMPOUND_SURNAMES:
            self.surname[s] = _RARE_SURNAME

    def has(self, c: str) -> bool:
        """Texts have this character more than hardly ever."""
        return self.char.get(c, _HARDLY_EVER) > _HARDLY_EVER

    def after(self, first: str, second: str) -> float:
        """log P(second | first) in running text."""
        found = self.pair.get(first + second)
        return found if found is not None else self.char.get(second, _RARE_CHARACTER) + _NO_PAIR

    def words(self, before: str, text: str) -> float:
        """log P(text | the character before it) in running text."""
        total, last = 0.0, before
        for c in text:
            total += self.after(last, c) if last else self.char.get(c, _RARE_CHARACTER)
            last = c
        return total

    def name(self, surname: str, given: str) -> float:
        """log P(surname, given | a name)."""
        get = self.given.get
        apart = sum(get(c, _RARE_GIVEN) for c in given)
        return self.surname.get(surname, _RARE_SURNAME - 3) + max(apart, self.whole.get(given, apart))


@lru_cache(maxsize=1)
def language() -> Language:
    """The tables, read once a process."""
    return Language()
