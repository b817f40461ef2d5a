"""The run's real patients, searched for in what the run wrote: counts by kind, never a value."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from p2med.certify.search import search, squeeze
from p2med.schema.base import Frozen
from p2med.schema.identified import IdentifiedCase, IdentifiedPatient
from p2med.store import read_items, read_manifest, verb_folder

OUTPUTS = ("deid", "curate", "mix")
SHORTEST = {"name": 3, "pinyin": 6, "number": 8, "phone": 8, "address": 6, "uid": 12}
"""Shorter values stand by chance in any text; deid itself searches them in the texts of the same patient."""
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


class Residual(Frozen):
    """Searched and found values of one kind; `too_short` were not searched for."""

    kind: str
    searched: int
    too_short: int
    found: int


class ResidualScan(Frozen):
    folders: tuple[str, ...]
    files: int
    bytes: int
    texts: int
    kinds: tuple[Residual, ...]
    files_with_finds: tuple[str, ...]


def scan_run(root: Path) -> ResidualScan:
    """Search `2_deid`, `3_curate` and `4_mix` as far as they are finished."""
    values: dict[str, set[str]] = {k: set() for k in SHORTEST}
    short: dict[str, set[str]] = {k: set() for k in SHORTEST}
    for case in read_items(verb_folder(root, "ingest"), IdentifiedCase):
        for kind, value in _values(case.patient, case):
            enough = len(squeeze(value)) >= SHORTEST[kind] and not _DAY.fullmatch(squeeze(value))
            (values if enough else short)[kind].add(value)
    numbered = [(kind, value) for kind in sorted(values) for value in sorted(values[kind])]
    folders = [verb_folder(root, v) for v in OUTPUTS]
    folders = [f for f in folders if f.exists() and read_manifest(f) is not None]
    searches = [(f.name, search(f, dict(enumerate(v for _, v in numbered)))) for f in folders]
    found = {n for _, s in searches for n in s.files}
    return ResidualScan(
        folders=tuple(f.name for f in folders),
        files=sum(s.searched_files for _, s in searches),
        bytes=sum(s.searched_bytes for _, s in searches),
        texts=sum(s.searched_texts for _, s in searches),
        kinds=tuple(
            Residual(
                kind=kind,
                searched=len(values[kind]),
                too_short=len(short[kind]),
                found=sum(numbered[n][0] == kind for n in found),
            )
            for kind in SHORTEST
        ),
        files_with_finds=tuple(_files((name, s.files.values()) for name, s in searches)),
    )


def _files(searches: Iterable[tuple[str, Iterable[set[str]]]]) -> list[str]:
    return sorted({f"{name}/{file}" for name, many in searches for files in many for file in files})[:20]


def _values(patient: IdentifiedPatient, case: IdentifiedCase) -> Iterator[tuple[str, str]]:
    for name in patient.names:
        yield ("pinyin" if name.isascii() else "name"), name
    for number in (patient.patient_id, *patient.ids):
        if re.search(r"\d", number):
            yield "number", number
    for phone in patient.phones:
        yield "phone", phone
    for address in patient.addresses:
        yield "address", address
    for study in case.studies:
        for uid in (study.study_uid, *(s.series_uid for s in study.series)):
            if "." in uid:
                yield "uid", uid
