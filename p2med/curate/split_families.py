"""Who is trained on and who is held out: by person, then by family.

identity    patients who share a study, an accession or an image are one child under two numbers
family      identities whose records (not reports) repeat each other: copied charts, siblings, follow-ups

A free patient goes with his family; a preset one stays where the source put him. Where a source preset one
identity to both sides, the training side goes (`leak`), or the run stops, as `curate.leaks.action` says.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from p2med.curate.config import CurateConfig, DedupConfig, LeakConfig, SplitConfig
from p2med.curate.leaks import PLACEHOLDER, Kind, Leak, Trace, find_leaks, refusal
from p2med.curate.leaks_images import fingerprint_of, same_images
from p2med.curate.leaks_texts import near_links
from p2med.curate.records import Fault
from p2med.curate.split import HELD_OUT_FIRST, draw, preset_of

MOST = 0.02
"""Texts join no family of more than this share of the patients (at least 8): templates, not copies."""
LOOSER = 1.2
"""Families are drawn a little wider than the gate looks, so that the gate has no borderline to find."""


class Families:
    """The splits of a hospital, and which training data must go because they tell of held-out patients."""

    def __init__(self, traces: Iterable[tuple[Trace, str | None]], config: CurateConfig):
        """`traces`: of every case, with the split that its source gave it."""
        self._config, self._dedup, self._threads = config.leaks, config.dedup or DedupConfig(), config.workers
        # No two kept outpatient records are as alike as the gate asks; it looks at the end all the same.
        self._deduplicated = (
            config.dedup is not None
            and config.dedup.verify
            and config.dedup.min_jaccard <= config.leaks.min_jaccard
        )
        self._traces: list[Trace] = []
        presets = []
        for trace, split in traces:
            self._traces.append(trace)
            presets.append((trace.patient_key, split))
        self.plan = plan(
            self._traces, presets, config.split, self._config, self._dedup, threads=config.workers
        )
        self.notes = self.plan.notes

    def leaks(self, faults: dict[tuple[str, str], Fault]) -> dict[str, Kind]:
        """Add the training records that repeat held-out ones to `faults`.

        Returns:
          case_id -> kind of leak, of the training cases that go whole.

        Raises:
          P2MedError: with `action: refuse`, there are any.
        """
        leaking = self.plan.leaking
        going = {t.case_id: leaking[t.patient_key] for t in self._traces if t.patient_key in leaking}
        sides: dict[bool, list[Trace]] = {True: [], False: []}
        for trace in self._traces:
            if trace.case_id not in going:
                learns = self.plan.split_of[trace.patient_key] == "train"
                trace = trace.without(faults)
                sides[learns].append(trace.without_outpatient_texts() if self._deduplicated else trace)
        self._traces = []
        found = find_leaks(sides[True], sides[False], self._config, self._dedup, self._threads)
        found = [x for x in found if x.kind != "template"]
        if found and self._config.action == "refuse":
            raise refusal(found)
        records: dict[tuple[str, str], Leak] = {}
        for leak in found:
            if leak.detail and leak.kind in ("near_text", "benchmark_item"):
                records.setdefault((leak.training, leak.detail), leak)
            else:
                going.setdefault(leak.training, leak.kind)
        faults |= {key: (f"leak_{x.kind}", x.held_out) for key, x in records.items()}
        self.notes["dropped_cases"] = dict(sorted(Counter(going.values()).items()))
        self.notes["dropped_records"] = dict(sorted(Counter(x.kind for x in records.values()).items()))
        return going


class Plan(NamedTuple):
    """patient_key -> split; patient_key -> the leak for which a training patient goes; for the manifest."""

    split_of: dict[str, str]
    leaking: dict[str, Kind]
    notes: dict[str, Any]


def plan(
    traces: Sequence[Trace],
    presets: Iterable[tuple[str, str | None]],
    split: SplitConfig,
    leaks: LeakConfig,
    dedup: DedupConfig,
    threads: int = 0,
) -> Plan:
    """Give every patient one split.

    Args:
      presets: patient_key and the source's split (None: free) of every case.

    Raises:
      P2MedError: with `action: refuse`, a source preset one identity to both sides.
    """
    preset = preset_of(presets)
    identity, kinds = _identities(traces, leaks)
    leaking: dict[str, Kind] = {}
    for members in identity.groups():
        given = {preset[m] for m in members} - {None}
        if len(given) > 1:
            best = next(s for s in HELD_OUT_FIRST if s in given)
            leaking |= {m: kinds.get(m, "same_image") for m in members if preset[m] not in (None, best)}
    if leaking and leaks.action == "refuse":
        raise refusal(Leak(kind=k, training=m, held_out="") for m, k in leaking.items())
    family, most = _families(traces, identity, preset, leaks, dedup, threads)
    split_of: dict[str, str] = {}
    for members in identity.groups():
        given = [s for s in HELD_OUT_FIRST if s in {preset[m] for m in members}]
        for member in members:
            # A free identity draws by the first patient of its whole family.
            split_of[member] = preset[member] or (given[0] if given else draw(family[member], split))
    sizes = Counter(family.values())
    notes = {
        "patients": len(preset),
        "identities": len(identity.groups()),
        "families": len(sizes),
        "largest_family": max(sizes.values(), default=0),
        "largest_allowed_by_text": most,
        "leaking_patients": dict(sorted(Counter(leaking.values()).items())),
    }
    return Plan(split_of, leaking, notes)


class Groups:
    """Union-find over names; a group is known by its smallest name, so order plays no part."""

    def __init__(self, names: Iterable[str]):
        self._parent = {n: n for n in names}
        self._size = dict.fromkeys(self._parent, 1)

    def root(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, one: str, other: str, most: int | None = None) -> bool:
        """Make one group of two; False when it would have more than `most` members."""
        a, b = sorted((self.root(one), self.root(other)))
        if a == b:
            return True
        if most is not None and self._size[a] + self._size[b] > most:
            return False
        self._parent[b] = a
        self._size[a] += self._size[b]
        return True

    def groups(self) -> list[list[str]]:
        found: dict[str, list[str]] = {}
        for name in sorted(self._parent):
            found.setdefault(self.root(name), []).append(name)
        return list(found.values())


def _identities(traces: Sequence[Trace], leaks: LeakConfig) -> tuple[Groups, dict[str, Kind]]:
    """Patients joined by studies, accessions and images; for each joined one the kind of link."""
    groups = Groups(t.patient_key for t in traces)
    kinds: dict[str, Kind] = {}

    def join(one: str, other: str, kind: Kind) -> None:
        if one != other:
            groups.join(one, other)
            for name in (one, other):
                kinds.setdefault(name, kind)

    holders: dict[Hashable, set[str]] = {}
    for trace in traces:
        for key in (*(("study", s) for s in trace.studies), *(("accession", a) for a in trace.accessions)):
            holders.setdefault(key, set()).add(trace.patient_key)
    for (what, _), patients in holders.items():
        if what == "study" or len(patients) <= PLACEHOLDER:
            first, *others = sorted(patients)
            for other in others:
                join(first, other, "same_study")
    for kind in ("X-ray", "CT"):
        there = [(t.patient_key, mark) for t in traces for _, what, mark in t.prints if what == kind]
        if there:
            prints = np.stack([fingerprint_of(mark) for _, mark in there])
            owners = [p for p, _ in there]
            ratio = min(1.0, leaks.max_image_ratio * LOOSER)
            for i, j in same_images(prints, owners, leaks.min_image_similarity, ratio):
                join(owners[i], owners[j], "same_image")
    return groups, kinds


def _families(
    traces: Sequence[Trace],
    identity: Groups,
    preset: Mapping[str, str | None],
    leaks: LeakConfig,
    dedup: DedupConfig,
    threads: int,
) -> tuple[dict[str, str], int]:
    """patient_key -> the first patient of his family; and how large a family texts may make."""
    family = Groups(preset)
    for members in identity.groups():
        for other in members[1:]:
            family.join(members[0], other)
    most = max(8, int(MOST * len(preset)))
    free = [(t.patient_key, f"{t.case_id}/{r}", x) for t in traces for r, x in t.texts]
    free = [x for x in free if preset[x[0]] is None]
    links = near_links([x for *_, x in free], leaks.as_dedup(dedup), [r for _, r, _ in free], threads)
    pairs = {tuple(sorted((free[i][0], free[j][0]))) for i, j in links}
    for one, other in sorted(pairs):
        if one != other:
            family.join(one, other, most)
    return {key: family.root(key) for key in preset}, most
