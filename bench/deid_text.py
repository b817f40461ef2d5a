"""Chinese notes with planted identity through `deid`'s scrubber: recall by class, over-redaction, speed.

    python bench/deid_text.py [--sets A B] [--notes 4000] [--no-known] [--without LAYER ...] [--misses 40]

A span counts as found when every one of its characters is replaced; a replaced character outside every span
is over-redaction. Then every eponym and drug of deid_text_terms.txt in every frame, and the corpora of
P2MED_DATA: real text with nothing planted; what is replaced there but dates is over-redaction or a real name.
"""

import argparse
import gzip
import json
import math
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deid_text_cases import HERE, Case, Lists, fill

from p2med.deid.text import LAYERS, Known, scrub
from p2med.errors import PhiError

CORPORA = {
    "ccks2019_clinical_ner/train.jsonl.gz": ("text",),
    "imcs_mrg_dialogue2report/records.jsonl.gz": ("dialogue", "report"),
    "cmeee_v2_pediatric_ner/records.jsonl.gz": ("text",),
    "cn_imaging_report_text/reports.jsonl.gz": ("text",),
    "cov_ctr_ct_reports/records.jsonl.gz": ("report_zh",),
    "pediatric_diagnosis_mz10_dxy/dxy_train.jsonl.gz": ("self_repo",),
}
# Template files of each set and its values, in the order in which they were first run and then mended on.
SETS = {
    "1-4": (("", "_2", "_3", "_4"), ""),
    "A": (("_5", "_5_2", "_5_3"), "_2"),
    "B": (("_6",), "_3"),
    "C": (("_7",), "_4"),
    "D": (("_8",), "_4"),
    "E": (("_9", "_9_2", "_9_3", "_9_4"), "_3"),
    "F": (("_10", "_10_2"), "_4"),
    "G": (("_11", "_11_2", "_11_3"), "_4"),
}
FRAMES = (
    "考虑{}，建议进一步检查。|{}可能性大|既往有{}病史。|予{}口服，|患儿{}诊断明确。|家长诉孩子用过{}。|医师考虑{}。|停{}，改{}。|{}：阴性。|"
    "鉴别：{}、{}。|父亲{}。|给予{}10mg/kg qd。|予{}雾化吸入bid|排除{}|（{}）|血培养：{}|请问{}怎么用？"
).split("|")


@dataclass
class Figures:
    found: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    over: int = 0
    clinical: int = 0
    rejected: int = 0
    seconds: float = 0.0

    def add(
        self, text: str, spans: list[tuple[int, int, str]], known: Known, layers: tuple[str, ...]
    ) -> None:
        began = time.process_time()
        try:
            done = scrub(text, known, -77, layers=layers)
        except PhiError as error:
            self.rejected += 1
            self.total.update(kind for *_, kind in spans)
            self.missed.append(f"rejected {error.reason}: {text!r}")
            return
        finally:
            self.seconds += time.process_time() - began
        covered, truth = [False] * len(text), [False] * len(text)
        for r in done.replaced:
            covered[r.start : r.end] = [True] * (r.end - r.start)
        for start, end, kind in spans:
            truth[start:end] = [True] * (end - start)
            self.total[kind] += 1
            self.found[kind] += all(covered[start:end])
            if not all(covered[start:end]):
                self.missed.append(f"{kind}: {_around(text, start, end)}")
        self.clinical += truth.count(False)
        for r in done.replaced:
            wrong = truth[r.start : r.end].count(False)
            self.over += wrong
            self.extra[f"{r.kind}: {_around(text, r.start, r.end)}"] += wrong

    def say(self, notes: int) -> None:
        for kind in sorted(self.total):
            _say(kind, self.found[kind], self.total[kind])
        names = [k for k in self.total if k.endswith("name")]
        _say("names", sum(self.found[k] for k in names), sum(self.total[k] for k in names))
        _say("all", sum(self.found.values()), sum(self.total.values()))
        print(f"over-redaction {self.over}/{self.clinical} characters = {self.over / self.clinical:.3%}")
        print(f"{self.rejected} notes rejected; {notes / self.seconds:.0f} notes/s on one core")


def _say(kind: str, found: int, total: int) -> None:
    low, high = wilson(found, total)
    print(f"{kind:<16}{found:>7}/{total:<7}{found / max(1, total):8.4f}  [{low:.4f}, {high:.4f}]")


def wilson(found: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, as if the spans were independent; those of one template are not."""
    if not total:
        return 0.0, 1.0
    z, share = 1.96, found / total
    middle, spread = (
        share + z * z / (2 * total),
        z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)),
    )
    return (middle - spread) / (1 + z * z / total), (middle + spread) / (1 + z * z / total)


def _around(text: str, start: int, end: int) -> str:
    return repr(f"{text[max(0, start - 12) : start]}<{text[start:end]}>{text[end : end + 8]}")


def read_templates(paths: list[Path]) -> list[str]:
    found: list[str] = []
    for path in paths:
        lines = [x for x in path.read_text(encoding="utf-8").splitlines() if not x.startswith(("#", "=="))]
        found += [x for x in "\n".join(lines).split("\n\n") if x.strip()]
    return [t.strip("\n") for t in found]


def terms() -> None:
    """Every eponym and drug in every frame: none may be touched."""
    lines = (HERE / "deid_text_terms.txt").read_text(encoding="utf-8").splitlines()
    found = [t for line in lines if not line.startswith("#") for t in line.split()]
    texts = [frame.replace("{}", term) for term in found for frame in FRAMES]
    damaged = [t for t in texts if scrub(t, Known(), -77).text != t]
    print(f"{len(found)} eponyms and drugs in {len(FRAMES)} frames: {len(damaged)} damaged {damaged[:20]}")


def real_text(data: Path) -> None:
    for name, fields in CORPORA.items():
        if not (data / name).exists():
            continue
        notes = characters = replaced = dates = rejected = 0
        began = time.process_time()
        for text in _notes(data / name, fields):
            notes, characters = notes + 1, characters + len(text)
            try:
                done = scrub(text, Known(), -77)
            except PhiError:
                rejected += 1
                continue
            replaced += sum(r.end - r.start for r in done.replaced if r.kind != "date")
            dates += sum(r.end - r.start for r in done.replaced if r.kind == "date")
        seconds = time.process_time() - began
        size = characters / notes
        print(f"{name}: {notes} notes of {size:.0f} characters, {rejected} rejected, {notes / seconds:.0f}/s")
        print(f"    {replaced / characters:.3%} replaced and {dates / characters:.3%} dates")


def _notes(path: Path, fields: tuple[str, ...]) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield "\n".join(_strings([row.get(f) for f in fields]))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for v in value.values() if isinstance(value, dict) else value:
            yield from _strings(v)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notes", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-known", action="store_true", help="no list of known values")
    parser.add_argument("--without", nargs="*", default=[], choices=LAYERS, help="layers to leave out")
    parser.add_argument("--misses", type=int, default=0, help="show so many misses and excesses")
    parser.add_argument("--sets", nargs="+", default=["1-4"], choices=SETS)
    options = parser.parse_args()
    sources: list[tuple[str, Lists]] = []
    for name in options.sets:
        files, values = SETS[name]
        lists = Lists(HERE / f"deid_text_values{values}.csv")
        paths = [HERE / f"deid_text_templates{n}.txt" for n in files]
        sources += [(template, lists) for template in read_templates(paths)]
    random_ = random.Random(options.seed)
    figures = Figures()
    layers = [x for x in LAYERS if x not in options.without]
    for n in range(options.notes):
        template, lists = sources[n % len(sources)]
        case = Case(random.Random(random_.random()), lists)
        text, spans = fill(template, case)
        figures.add(text, spans, Known() if options.no_known else case.known, layers)
    print(f"{options.notes} notes from {len(sources)} templates, {sum(figures.total.values())} spans")
    figures.say(options.notes)
    for line in figures.missed[: options.misses]:
        print("missed", line)
    for line, count in figures.extra.most_common(options.misses):
        print("extra", count, line)
    if not options.without:
        terms()
        real_text(Path(os.environ.get("P2MED_DATA", "../shared/data")))


if __name__ == "__main__":
    main()
