"""What became of every canary: removed, leaked, or withheld because its record or film did not pass.

2_deid of the copy -> outcomes by canary; clinical words kept; dates moved by one offset a patient
"""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from p2med.certify.copies import Copy
from p2med.certify.films import readable
from p2med.certify.plan import Plan, Sentence
from p2med.certify.search import Found, search, squeeze
from p2med.certify.sentences import find_sentences
from p2med.deid.pseudonym import Pseudonyms
from p2med.files import read_volume, resolve
from p2med.schema.case import Case, Record, Series
from p2med.schema.identified import IdentifiedCase
from p2med.store import read_items

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_NUMBERS = re.compile(r"\d+")
_CORE = {"institution": 3}
"""Of 郯鄞县人民医院 the first three characters name it; 医院 may stay."""


@dataclass
class Measured:
    """Counts alone; `leaks` says where, never what."""

    outcome: dict[int, str] = field(default_factory=dict)
    leaks: Counter[str] = field(default_factory=Counter)
    terms: int = 0
    terms_kept: int = 0
    characters: int = 0
    characters_lost: int = 0
    dates: int = 0
    dates_moved_rightly: int = 0
    patients_with_two_offsets: int = 0
    patients_with_offset: int = 0
    found: Found = field(default_factory=Found)


def measure(plan: Plan, copy: Copy, root: Path, names: Pseudonyms) -> Measured:
    """Compare the plan with `root/1_ingest` and `root/2_deid` of the copy."""
    done = Measured()
    cases = list(read_items(root / "2_deid", Case))
    texts = _sentences(cases)
    for sentence in plan.sentences.values():
        _judge(plan, sentence, texts.get(sentence.number), done)
    _judge_offsets(plan, cases, texts, done)
    _judge_files(plan, copy, root, names, cases, done)
    _judge_bytes(plan, root, done)
    return done


# ---------------------------------------------------------------- texts


def _sentences(cases: list[Case]) -> dict[int, tuple[str, Record, str]]:
    """Number -> (sentence, its record, patient key)."""
    return {
        number: (text, record, case.patient.patient_key)
        for case in cases
        for record in case.records
        for section in record.sections.values()
        for number, text in find_sentences(section)
    }


def _judge(plan: Plan, sentence: Sentence, found: tuple[str, Record, str] | None, done: Measured) -> None:
    if found is None:
        if sentence.canary is not None:
            done.outcome[sentence.canary] = "withheld"
        return
    text, record, _ = found
    if sentence.canary is None:
        done.terms += len(sentence.terms)
        done.terms_kept += sum(t in text for t in sentence.terms)
    frame = sentence.before + sentence.after
    done.characters += len(frame)
    done.characters_lost += _lost(frame, text)
    if sentence.canary is None:
        return
    canary = plan.canaries[sentence.canary]
    if canary.day is None:
        leaked = remains(canary.kind, canary.value, frame, text)
    else:
        leaked = squeeze(sentence.value) in squeeze(text)
        if record.authored_on and sentence.authored_on:
            done.dates += 1
            moved = canary.day + (record.authored_on - sentence.authored_on)
            done.dates_moved_rightly += _has_date(
                text, moved, "年" in sentence.value or len(sentence.value) > 6
            )
            leaked = leaked and moved != canary.day
    done.outcome[sentence.canary] = "leaked" if leaked else "removed"
    if leaked:
        done.leaks[f"text: {canary.kind}, {'known' if canary.known else 'unknown'}"] += 1


def _lost(frame: str, text: str) -> int:
    """Characters of the sentence without its value that are gone."""
    blocks = difflib.SequenceMatcher(None, frame, text, autojunk=False).get_matching_blocks()
    return len(frame) - sum(b.size for b in blocks)


def remains(kind: str, value: str, frame: str, text: str) -> bool:
    """True when a readable piece of a value is in a text: two characters of Chinese, four letters or digits.

    Pieces that the sentence itself holds do not count.
    """
    value = squeeze(value)[: _CORE.get(kind)]
    size = min(len(value), 2 if _CHINESE.search(value) else 4)
    frame, text = squeeze(frame), squeeze(text)
    pieces = {value[i : i + size] for i in range(len(value) - size + 1)}
    return any(p in text and p not in frame for p in pieces)


def _has_date(text: str, day, with_year: bool) -> bool:
    """True when the text writes this day, whatever the form."""
    numbers = [int(n) for n in _NUMBERS.findall(unicodedata.normalize("NFKC", text)) if len(n) < 5]
    packed = f"{day:%Y%m%d}" in text
    wanted = [day.year, day.month, day.day] if with_year else [day.month, day.day]
    size = len(wanted)
    return packed or any(numbers[i : i + size] == wanted for i in range(len(numbers)))


def _judge_offsets(
    plan: Plan, cases: list[Case], texts: Mapping[int, tuple[str, Record, str]], done: Measured
) -> None:
    """One offset a patient, in the records' own dates and in the dates of their examinations."""
    study_days = {(c.patient.patient_key, s.study_uid): s.study_date for c in cases for s in c.studies}
    offsets: dict[str, set[timedelta]] = {}
    for number, (_, record, key) in texts.items():
        planted = plan.sentences[number].authored_on
        if planted and record.authored_on:
            offsets.setdefault(key, set()).add(record.authored_on - planted)
            day = study_days.get((key, record.study_uid or ""))
            if day and (real := plan.sentences[number].study_date):
                offsets[key].add(day - real)
    done.patients_with_offset = len(offsets)
    done.patients_with_two_offsets = sum(len(o) > 1 for o in offsets.values())


# ---------------------------------------------------------------- files


def _judge_files(
    plan: Plan, copy: Copy, root: Path, names: Pseudonyms, cases: list[Case], done: Measured
) -> None:
    """Headers and drawn texts: withheld when their series did not pass, readable pixels are leaks."""
    passed = {s.series_uid: s for c in cases for st in c.studies for s in st.series}
    series_of: dict[str, Series | None] = {}
    for case in read_items(root / "1_ingest", IdentifiedCase):
        for study in case.studies:
            for series in study.series:
                kept = passed.get(names.uid(series.series_uid))
                series_of |= {pointer.removeprefix("run:planted/pacs/"): kept for pointer in series.files}
    for file in copy.files:
        kept = series_of.get(file.name)
        for canary in file.canaries:
            done.outcome[canary] = "removed" if kept else "withheld"
        if file.text is None or file.strokes is None:
            continue
        if kept is None:
            done.outcome[file.text] = "withheld"
            continue
        leaked = readable(read_volume(kept.volume.path, root), file.strokes)
        done.outcome[file.text] = "leaked" if leaked else "removed"
        if leaked:
            done.leaks["pixels: text drawn into the image"] += 1


def values_searched(plan: Plan) -> list[int]:
    """Canaries that every byte is searched for; dates and pixels are judged where they stand."""
    return [n for n, c in enumerate(plan.canaries) if c.day is None and c.place != "pixels"]


def _judge_bytes(plan: Plan, root: Path, done: Measured) -> None:
    """Every byte of the output, for every value that is searched for as a whole."""
    for number in range(len(plan.canaries)):
        done.outcome.setdefault(number, "removed")
    done.found = search(
        resolve("run:2_deid", root), {n: plan.canaries[n].value for n in values_searched(plan)}
    )
    told = {plan.canaries[n].value for n, o in done.outcome.items() if o == "leaked"}
    for number in sorted(done.found.files):
        canary = plan.canaries[number]
        if done.outcome[number] != "leaked" and canary.value not in told:
            done.outcome[number] = "leaked"
            done.leaks[f"{canary.place}: {canary.kind}, found by the search of every byte"] += 1
