"""The leak gate: a benchmark that shares anything with the training data is not written.

same_patient       one pseudonym on both sides
same_study         one study UID or accession on both sides: the study was exported twice
near_text          a record repeats a held-out one (5-grams, Jaccard >= 0.85); not reports, see template
same_image         one film or CT, re-encoded or resized (leaks_images.py)
template           a report made from the template of a bench item's; refused beyond `max_template_rate`
benchmark_item     the item itself: its id, or its content to the letter

Held out are the splits bench and val: val decides when training stops, so it must not leak either.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from p2med.curate.config import DedupConfig, LeakConfig
from p2med.curate.leaks_images import fingerprint_of, same_images
from p2med.curate.leaks_texts import near_texts, same_templates
from p2med.errors import P2MedError
from p2med.schema.base import Frozen
from p2med.schema.terms import RecordKind

Kind = Literal["same_patient", "same_study", "near_text", "same_image", "template", "benchmark_item"]
KINDS: tuple[Kind, ...] = (
    "benchmark_item",
    "same_patient",
    "same_study",
    "same_image",
    "near_text",
    "template",
)
PLACEHOLDER = 8
"""An accession of more patients than this is a word like "none", not a link."""


class Leak(Frozen):
    """A training case that shares something with a held-out one; `detail` names the part, by its id."""

    kind: Kind
    training: str
    held_out: str
    detail: str = ""


class Trace(NamedTuple):
    """What can betray a case: everything that another export of it would share.

    `texts` (record_id, text) of records, `reports` the same of radiology reports, `prints` (study_uid, kind
    of image, fingerprint as digits), `contents` (part, digest) of items, the part being a record_id or "".
    """

    case_id: str
    patient_key: str
    studies: tuple[str, ...] = ()
    accessions: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    reports: tuple[tuple[str, str], ...] = ()
    prints: tuple[tuple[str, str, str], ...] = ()
    contents: tuple[tuple[str, str], ...] = ()
    outpatient: tuple[str, ...] = ()
    """The records that dedup.py decides on."""
    asked: bool = True
    """False for val: its reports come from the desks of the training ones, and no benchmark asks them."""

    def without(self, faults: Mapping[tuple[str, str], object]) -> "Trace":
        """Without the records that are dropped anyway."""
        gone = {r for r, _ in (*self.texts, *self.reports) if (self.case_id, r) in faults}
        if not gone:
            return self
        parts = ("texts", "reports", "contents")
        return self._replace(**{p: tuple(x for x in getattr(self, p) if x[0] not in gone) for p in parts})

    def without_outpatient_texts(self) -> "Trace":
        """For where deduplication has compared them already."""
        return self._replace(texts=tuple(x for x in self.texts if x[0] not in self.outpatient))


TRACE_COLUMNS = ("case_id", "source", "patient", "split", "studies", "records", "questions")


def trace_of(row: Mapping[str, Any], prints: Mapping[tuple[str, str], str]) -> Trace:
    """The trace of a case.

    Args:
      row: TRACE_COLUMNS of its row in a Parquet file.
      prints: (case_id, study_uid) -> fingerprint of the study's first image.
    """
    case_id, studies = row["case_id"], row["studies"] or ()
    images = {u: prints[case_id, u] for u in (s["study_uid"] for s in studies) if (case_id, u) in prints}
    texts, reports, contents = [], [], []
    for record in row["records"] or ():
        part, study = record["record_id"], record["study_uid"]
        text = "\n".join(record["sections"].values())
        report = record["kind"] == RecordKind.RADIOLOGY_REPORT
        (reports if report else texts).append((part, text))
        contents.append((part, _digest("id", row["source"], part)))
        if study in images or not report:  # a report without its image is no item
            contents.append((part, _digest(record["kind"], text, images.get(study or "", ""))))
    for question in row["questions"] or ():
        if question["study_uid"] is None:
            contents.append(("", _digest("question", question["question"], question["answer"])))
    return Trace(
        case_id=case_id,
        patient_key=row["patient"]["patient_key"],
        studies=tuple(s["study_uid"] for s in studies),
        accessions=tuple(s["accession_key"] for s in studies if s.get("accession_key")),
        texts=tuple(texts),
        reports=tuple(reports),
        prints=tuple(
            (s["study_uid"], "CT" if s["modality"] == "CT" else "X-ray", images[s["study_uid"]])
            for s in studies
            if s["study_uid"] in images
        ),
        contents=tuple(contents),
        outpatient=tuple(
            r["record_id"] for r in row["records"] or () if r["kind"] == RecordKind.OUTPATIENT_RECORD
        ),
        asked=row["split"] != "val",
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join("".join(p.split()) for p in parts).encode()).hexdigest()[:32]


# ---------------------------------------------------------------- finding


def find_leaks(
    training: Sequence[Trace],
    held_out: Sequence[Trace],
    config: LeakConfig,
    dedup: DedupConfig,
    threads: int = 0,
) -> list[Leak]:
    """Every leak between the two sides, by kind, then by case; within a side nothing is a leak."""
    found = {
        *_shared("benchmark_item", training, held_out, lambda t: (("", t.case_id), *t.contents)),
        *_shared("same_patient", training, held_out, lambda t: (("", t.patient_key),)),
        *_shared("same_study", training, held_out, lambda t: [("", s) for s in t.studies]),
        *_shared("same_study", training, held_out, _accessions((*training, *held_out))),
        *_images(training, held_out, config),
        *_texts(training, held_out, config, dedup, threads),
        *_templates(training, held_out, config),
    }
    return sorted(found, key=lambda x: (KINDS.index(x.kind), x.training, x.held_out, x.detail))


Keys = Callable[[Trace], Iterable[tuple[str, str]]]
"""(part, key): the part of the case that the key stands for, "" for the whole."""


def _shared(kind: Kind, training: Sequence[Trace], held_out: Sequence[Trace], keys: Keys) -> Iterator[Leak]:
    first: dict[str, str] = {}
    for trace in held_out:
        for _, key in keys(trace):
            first.setdefault(key, trace.case_id)
    for trace in training:
        for part, key in keys(trace):
            if key in first:
                yield Leak(kind=kind, training=trace.case_id, held_out=first[key], detail=part)


def _accessions(traces: Sequence[Trace]) -> Keys:
    """A trace's accessions without placeholders."""
    patients: dict[str, set[str]] = {}
    for trace in traces:
        for accession in trace.accessions:
            patients.setdefault(accession, set()).add(trace.patient_key)
    return lambda t: [("", a) for a in t.accessions if len(patients[a]) <= PLACEHOLDER]


def _images(training: Sequence[Trace], held_out: Sequence[Trace], config: LeakConfig) -> Iterator[Leak]:
    sides = [(t, True) for t in training] + [(t, False) for t in held_out]
    for kind in ("X-ray", "CT"):
        there = [
            (t, learns, uid, mark) for t, learns in sides for uid, what, mark in t.prints if what == kind
        ]
        if not there:
            continue
        prints = np.stack([fingerprint_of(mark) for *_, mark in there])
        owners = [t.patient_key for t, *_ in there]
        for i, j in same_images(prints, owners, config.min_image_similarity, config.max_image_ratio):
            if there[i][1] != there[j][1]:
                mine, other = (there[i], there[j]) if there[i][1] else (there[j], there[i])
                yield Leak(
                    kind="same_image", training=mine[0].case_id, held_out=other[0].case_id, detail=mine[2]
                )


def _texts(
    training: Sequence[Trace],
    held_out: Sequence[Trace],
    config: LeakConfig,
    dedup: DedupConfig,
    threads: int,
) -> Iterator[Leak]:
    mine = [(t.case_id, r, text) for t in training for r, text in t.texts]
    others = [(t.case_id, text) for t in held_out for _, text in t.texts]
    near = near_texts([m[2] for m in mine], [o[1] for o in others], config.as_dedup(dedup), threads)
    for place, other in sorted(near.items()):
        yield Leak(
            kind="near_text", training=mine[place][0], held_out=others[other][0], detail=mine[place][1]
        )


def _templates(training: Sequence[Trace], held_out: Sequence[Trace], config: LeakConfig) -> Iterator[Leak]:
    mine = [(t.case_id, text) for t in training for _, text in t.reports]
    others = [(t.case_id, r, text) for t in held_out if t.asked for r, text in t.reports]
    pairs = same_templates([m[1] for m in mine], [o[2] for o in others], config.template_share)
    for t, h in pairs:
        yield Leak(kind="template", training=mine[t][0], held_out=others[h][0], detail=others[h][1])


# ---------------------------------------------------------------- the gate


def gate(
    training: Sequence[Trace],
    held_out: Sequence[Trace],
    config: LeakConfig,
    dedup: DedupConfig,
    threads: int = 0,
) -> dict[str, Any]:
    """What the manifest says of leaks.

    Raises:
      P2MedError: the held-out data leak.
    """
    leaks = find_leaks(training, held_out, config, dedup, threads)
    counts = Counter(x.kind for x in leaks)
    reports = sum(len(t.reports) for t in held_out if t.asked)
    rate = counts["template"] / reports if reports else 0.0
    if counts.total() > counts["template"]:
        raise refusal(leaks)
    if rate > config.max_template_rate:
        raise P2MedError(
            f"curate: {counts['template']} of {reports} benchmark reports share a template with training, "
            f"{rate:.1%}; curate.leaks.max_template_rate allows {config.max_template_rate:.1%}; no benchmark"
        )
    return {
        "training_cases": len(training),
        "held_out_cases": len(held_out),
        "found": {k: counts[k] for k in KINDS},
        "benchmark_reports": reports,
        "template_rate": round(rate, 4),
    }


def refusal(leaks: Iterable[Leak]) -> P2MedError:
    """With counts, never with contents."""
    counts = Counter(x.kind for x in leaks)
    words = ", ".join(f"{counts[k]} {k}" for k in KINDS if counts[k] and k != "template")
    return P2MedError(
        f"curate: held-out data leak into training: {words}; no benchmark is written. "
        "`curate.leaks.action: drop` takes such training data out, each with its reason"
    )
