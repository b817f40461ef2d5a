"""Fit the thresholds of p2med/deid/tagger.py on writers whose notes a network has not met.

    python bench/deid_text_tagger_fit.py NPZ --writers a9 a11 b5 [--chars-a-miss 30] [--rounds 2]

One threshold after the other is moved to where the cost is least: characters replaced without need, and so
many for each identity that is missed, half as many again where it is a name. NPZ is made by
bench/deid_text_tagger.py --without the same writers. Prints what to put into tagger.py.
"""

import argparse
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from deid_text import read_templates
from deid_text_notes import NOTES, read_note

from p2med.deid import tagger, tagger_network, text
from p2med.deid.folding import fold

CHOICES = {
    "SURE": (0, 1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384),
    "ENOUGH": (-4096, -3072, -2048, -1024, 0, 1024, 2048),
    "NOTHING": (-16384, -12288, -8192, -6144, -4096, -2048, 0),
}
ENDS = (-16384, -12288, -8192, -6144, -4096)


class Note(NamedTuple):
    folded: str
    spans: list[tuple[int, int, str]]
    ruled: list[tuple[int, int, str, str, str]]
    likely: tagger_network.Odds


class Result(NamedTuple):
    names: int
    missed_names: int
    all: int
    missed: int
    over: int
    clinical: int

    def cost(self, chars_a_miss: float) -> float:
        return self.over + chars_a_miss * (self.missed + 0.5 * self.missed_names)

    def __str__(self) -> str:
        names, found = 1 - self.missed_names / max(1, self.names), 1 - self.missed / max(1, self.all)
        return f"names {names:.4f}, all {found:.4f}, over-redaction {self.over / self.clinical:.3%}"


def read_notes(writers: list[str]) -> list[Note]:
    notes = []
    for writer in writers:
        for template in read_templates([NOTES / f"{writer}.txt"]):
            whole, spans, known = read_note(template, None, [])
            folded = fold(whole)
            ruled = text.by_rules(folded, whole, known, -77, None, text.LAYERS)
            marks = tagger_network.rule_marks(len(folded), text.rule_spans(ruled))
            notes.append(Note(folded, spans, ruled, tagger_network.odds(folded, marks)))
    return notes


def measure(notes: list[Note]) -> Result:
    names = missed_names = total = missed = over = clinical = 0
    for note in notes:
        covered, truth = bytearray(len(note.folded)), bytearray(len(note.folded))
        for start, end, *_ in text.joined(note.folded, note.ruled, note.likely):
            covered[start:end] = b"\1" * (end - start)
        for start, end, kind in note.spans:
            truth[start:end] = b"\1" * (end - start)
            lost = 0 in covered[start:end]
            a_name = kind.endswith("name")
            names, missed_names = names + a_name, missed_names + (a_name and lost)
            total, missed = total + 1, missed + lost
        clinical += truth.count(0)
        over += sum(c > t for c, t in zip(covered, truth, strict=True))
    return Result(names, missed_names, total, missed, over, clinical)


def fit(notes: list[Note], rounds: int, chars_a_miss: float) -> None:
    best = measure(notes)
    print("as it is:", best, flush=True)
    places = [(name, k) for name in CHOICES for k in range(1, len(tagger_network.KINDS))]
    for _ in range(rounds):
        for name, k in places:
            thresholds = getattr(tagger, name)
            kept = thresholds[k]
            for thresholds[k] in CHOICES[name]:
                found = measure(notes)
                if found.cost(chars_a_miss) < best.cost(chars_a_miss):
                    best, kept = found, thresholds[k]
            thresholds[k] = kept
        kept = tagger.END
        for tagger.END in ENDS:
            found = measure(notes)
            if found.cost(chars_a_miss) < best.cost(chars_a_miss):
                best, kept = found, tagger.END
        tagger.END = kept
        print(best, flush=True)
        for name in CHOICES:
            print(f"{name} = {getattr(tagger, name)}")
        print(f"END = {tagger.END}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path)
    parser.add_argument("--writers", nargs="+", required=True)
    parser.add_argument("--chars-a-miss", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    @lru_cache(maxsize=1)
    def weights() -> tagger_network.Weights:
        with open(options.network, "rb") as file:
            return tagger_network.read_weights(file)

    tagger_network.weights = weights
    fit(read_notes(options.writers), options.rounds, options.chars_a_miss)


if __name__ == "__main__":
    main()
