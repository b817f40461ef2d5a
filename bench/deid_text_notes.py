"""Chinese notes of writers who knew no rule through `deid`'s scrubber: recall by class, over-redaction.

    python bench/deid_text_notes.py [--writers a1 b2 ...] [--no-known] [--times 3] [--misses 40]

bench/deid_text_notes/*.txt hold 100 to 300 notes each, written one by one; every identity in them is marked
`{kind=value}`. Listed as known are the child's name and the family's, identity cards and mobile phones.
With --times above 1 each note is read again with other names in its places, drawn from deid_text_values*.csv.
"""

import argparse
import random
import re
from pathlib import Path

from deid_text import Figures, read_templates
from deid_text_cases import Lists, person

from p2med.deid.text import LAYERS, Known

HERE = Path(__file__).parent
NOTES = HERE / "deid_text_notes"
WRITERS = sorted((p.stem for p in NOTES.glob("*.txt")), key=lambda w: (w[0], int(w[1:])))
BLIND = ("c1", "c2", "c3", "f1", "f2", "f3", "f4")
"""Writers that no network is trained on: for measuring. All have been read after their first run."""
MARK = re.compile(r"\{([a-z]+)=([^}]+)\}")
CLASS = {
    "child": "known name",
    "kin": "known name",
    "staff": "staff name",
    "other": "other name",
    "given": "given name",
    "nick": "pet name",
    "surname": "family name",
    "latin": "latin name",
}
"""Kinds that are names; every other kind is its own class."""
DRAWN = {"child": "child", "kin": "adult", "staff": "adult", "other": "adult"}


def read_note(template: str, draw: random.Random | None, lists: list[Lists]) -> tuple[str, list, Known]:
    """(text, [(start, end, class)], what is known); with `draw`, full names are replaced by drawn ones."""
    pieces: list[str] = []
    spans, at, length, again = [], 0, 0, {}
    names, ids, phones = [], [], []
    for mark in MARK.finditer(template):
        kind, value = mark.groups()
        plain = kind in DRAWN and re.fullmatch(r"[\u4e00-\u9fff]{2,4}", value)
        if draw and plain and f"={value[1:]}}}" not in template:  # its given name does not stand elsewhere
            if value not in again:
                again[value] = person(draw, draw.choice(lists), DRAWN[kind], plain=True).name
            value = again[value]
        before = template[at : mark.start()]
        start = length + len(before)
        pieces += [before, value]
        length, at = start + len(value), mark.end()
        spans.append((start, length, CLASS.get(kind, kind)))
        if kind in ("child", "kin"):
            names.append(value)
        elif kind == "id":
            ids.append(value)
        elif kind == "phone":
            phones.append(value)
    pieces.append(template[at:])
    return "".join(pieces), spans, Known.of(names, ids, phones, [])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--writers", nargs="+", default=WRITERS)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--no-known", action="store_true", help="no list of known values")
    parser.add_argument("--misses", type=int, default=0, help="show so many misses and excesses")
    options = parser.parse_args()
    lists = [Lists(HERE / f"deid_text_values{n}.csv") for n in ("", "_2", "_3", "_4")]
    for writer in options.writers:
        templates = read_templates([NOTES / f"{writer}.txt"])
        figures, draw = Figures(), random.Random(writer)
        for turn in range(options.times):
            for template in templates:
                text, spans, known = read_note(template, draw if turn else None, lists)
                figures.add(text, spans, Known() if options.no_known else known, LAYERS)
        print(f"writer {writer}: {len(templates)} notes, {sum(figures.total.values())} spans")
        figures.say(len(templates) * options.times)
        for line in figures.missed[: options.misses]:
            print("missed", line)
        for line, count in figures.extra.most_common(options.misses):
            print("extra", count, line)


if __name__ == "__main__":
    main()
