"""How well p2med.clinical.diagnoses reads real lines: precision and recall against hand labels.

    python bench/diagnoses.py                   # prints the tables of bench/diagnoses.md
    python bench/diagnoses.py --errors 40       # the commonest errors, and some lines with theirs

The labels are tests/clinical/diagnosis_lines.jsonl: where a line stands in the shared data (file, row, field,
characters), a digest of it, and what it says, [label, certainty] each. The texts stay in the shared folder.
A disease that the vocabulary does not know is labelled 其他:name, so that it counts as missed.
"""

import argparse
import gzip
import hashlib
import importlib.util
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from p2med.clinical import diagnoses
from p2med.store import data_folder

LABELS = Path(__file__).parents[1] / "tests/clinical/diagnosis_lines.jsonl"
CERTAINTIES = ("affirmed", "uncertain", "history", "negated")
PARENTS = ("dxy", "huatuo26m")
"""Sources where parents write; the others are impressions, diagnoses and records of doctors."""
RESAMPLES = 2000
Pair = tuple[set[Any], set[Any]]
"""What was found in a line and what is wanted."""


class Line(NamedTuple):
    drawn: int
    """1: labelled first, and then read to mend the rules; 2: labelled after that, never used for a rule."""
    source: str
    text: str
    labels: dict[str, str]
    """label -> the strongest certainty that the line gives it."""


class Scores(NamedTuple):
    right: int
    extra: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.extra)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.extra + self.missed)


def read_lines(labels: Path = LABELS, data: Path | None = None) -> list[Line]:
    """The labelled lines with their texts.

    Raises:
      ValueError: a text of the data folder is not the one that was labelled.
    """
    lines = []
    for row in map(json.loads, labels.read_text(encoding="utf-8").splitlines()):
        value: Any = _rows(data or data_folder(), row["file"])[row["row"]]
        for key in row["field"].split("."):
            value = value[int(key) if isinstance(value, list) else key]
        text = " ".join(value) if isinstance(value, list) else value
        text = text[row["start"] : row["end"]]
        if hashlib.sha256(text.encode()).hexdigest()[:12] != row["sha256"]:
            raise ValueError(f"{row['file']} row {row['row']} is not the text that was labelled")
        pairs = [(_known(label), certainty) for label, certainty in row["labels"]]
        lines.append(Line(row["drawn"], row["source"], text, strongest(pairs)))
    return lines


def _known(label: str) -> str:
    """A disease that was none of the vocabulary's when it was labelled may be one by now."""
    name = label.removeprefix("其他:")
    return name if name in diagnoses.vocabulary().english else label


@cache
def _rows(data: Path, file: str) -> list[Any]:
    with gzip.open(data / file, "rt", encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def strongest(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One certainty a label: affirmed before uncertain before history before negated."""
    found: dict[str, str] = {}
    for label, certainty in pairs:
        known = found.setdefault(label, certainty)
        found[label] = min(known, certainty, key=CERTAINTIES.index)
    return found


def wanted(line: Line, closed: bool) -> set[str]:
    """The labels that a sampler should see; `closed` leaves out what the vocabulary has no word for."""
    affirmed = [x for x, certainty in line.labels.items() if certainty == "affirmed"]
    return {x for x in diagnoses.simplify(affirmed) if not (closed and x.startswith("其他:"))}


def count(pairs: Iterable[Pair]) -> Scores:
    """Micro counts over lines."""
    right = extra = missed = 0
    for found, want in pairs:
        right += len(found & want)
        extra += len(found - want)
        missed += len(want - found)
    return Scores(right, extra, missed)


def interval(
    pairs: Sequence[tuple[set[Any], set[Any]]], of: Callable[[Scores], float]
) -> tuple[float, float]:
    """95 % by resampling lines with replacement."""
    draw = random.Random(0)
    counts = [count([pair]) for pair in pairs]
    values = sorted(
        of(Scores(*map(sum, zip(*draw.choices(counts, k=len(counts)), strict=True))))
        for _ in range(RESAMPLES)
    )
    return values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES) - 1]


def table(name: str, pairs: Sequence[Pair]) -> str:
    s = count(pairs)
    cells = []
    for of in (lambda x: x.precision, lambda x: x.recall, lambda x: x.f1):
        low, high = interval(pairs, of)
        cells.append(f"{of(s):.3f} [{low:.3f}, {high:.3f}]")
    return f"| {name} | {len(pairs)} | {s.right + s.missed} | " + " | ".join(cells) + " |"


def report(lines: list[Line], reader: Any) -> None:
    """The tables of bench/diagnoses.md, for any module with extract() and mentions()."""
    found = [set(reader.extract(line.text)) for line in lines]
    print("| lines | n | labels | precision | recall | F1 |\n|---|---|---|---|---|---|")
    doctors = [n for n, line in enumerate(lines) if line.source not in PARENTS]
    for closed, said in ((False, "all diseases"), (True, "diseases of the vocabulary")):
        for rows, who in ((range(len(lines)), "all lines"), (doctors, "doctors' lines")):
            print(table(f"{who}, {said}", [(found[n], wanted(lines[n], closed)) for n in rows]))
    for source in dict.fromkeys(line.source for line in lines):
        rows = [n for n, line in enumerate(lines) if line.source == source]
        print(table(f"{source}, all diseases", [(found[n], wanted(lines[n], False)) for n in rows]))
    lungs = [({x for x in f if is_lung(x)}, {x for x in wanted(line, False) if is_lung(x)})
             for f, line in zip(found, lines, strict=True)]  # fmt: skip
    print(table("all lines, airways and lungs (ICD-10 J, and 肺 or 胸 in the name)", lungs))
    exact = sum(f == wanted(line, False) for f, line in zip(found, lines, strict=True))
    print(f"\nlines whose labels are all right: {exact} of {len(lines)}")
    certainty(lines, reader)


def is_lung(label: str) -> bool:
    return diagnoses.icd10(label).startswith("J") or "肺" in label or "胸" in label


def certainty(lines: list[Line], reader: Any) -> None:
    """Each certainty by itself, and where a label was found what became of its certainty."""
    said = [strongest((m.label, m.status) for m in reader.mentions(line.text)) for line in lines]
    print("\n| certainty | n | labels | precision | recall | F1 |\n|---|---|---|---|---|---|")
    for name in CERTAINTIES:
        pairs = [
            ({x for x, c in f.items() if c == name}, {x for x, c in line.labels.items() if c == name})
            for f, line in zip(said, lines, strict=True)
        ]
        print(table(name, pairs))
    confusion = Counter(
        (line.labels[x], f[x]) for f, line in zip(said, lines, strict=True) for x in line.labels if x in f
    )
    print("\n| labelled \\ read | " + " | ".join(CERTAINTIES) + " |\n|---|" + "---|" * 4)
    for row in CERTAINTIES:
        print(f"| {row} | " + " | ".join(str(confusion[row, c]) for c in CERTAINTIES) + " |")


def errors(lines: list[Line], reader: Any, shown: int) -> None:
    """The labels that are most often missed or invented; with a line of each when asked."""
    missed: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    for n, line in enumerate(lines):
        found, want = set(reader.extract(line.text)), wanted(line, False)
        missed.update(want - found)
        extra.update(found - want)
        if found != want and n < shown:
            print(f"{line.source}: {line.text[:90]!r} missed {want - found} invented {found - want}")
    print("\nmissed:  ", ", ".join(f"{x} {n}" for x, n in missed.most_common(15)))
    print("invented:", ", ".join(f"{x} {n}" for x, n in extra.most_common(15)))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errors", type=int, default=0, help="show the errors of the first N lines")
    parser.add_argument("--drawn", type=int, nargs="*", default=[1, 2], help="which samples")
    parser.add_argument("--reader", type=Path, help="another module with extract and mentions, to compare")
    options = parser.parse_args(arguments)
    reader: Any = diagnoses
    if options.reader:
        spec = importlib.util.spec_from_file_location("reader", options.reader)
        assert spec and spec.loader
        reader = sys.modules["reader"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(reader)
    for drawn in options.drawn:
        lines = [line for line in read_lines() if line.drawn == drawn]
        print(f"\n## Sample {drawn}: {len(lines)} lines\n")
        report(lines, reader)
        errors(lines, reader, options.errors)


if __name__ == "__main__":
    main(sys.argv[1:])
