"""The texts of the paper-size charts: patterns with slots, words drawn by number from paper_words.csv.

Invented; no real record is quoted, and what a child has agrees within a record no more than the words do.
"""

import csv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from p2med.synth.paper_counts import DAYS

COPIES, OWN_COPIES = 0.3, 0.8
MEDIAN_CLAUSES, SPREAD = 16, 0.45
"""Clauses of a history: log-normal; with the other sections a record has about 370 characters."""


def _banks() -> dict[str, list[str]]:
    with open(Path(__file__).with_name("paper_words.csv"), encoding="utf-8", newline="") as file:
        return {row["bank"]: row["words"].split() for row in csv.DictReader(file)}


W = _banks()


class Draws:
    """Random numbers for a shard's records, drawn at once; a record takes its own row."""

    WIDTH = 160

    def __init__(self, rng: np.random.Generator, count: int):
        self.numbers = rng.integers(0, 2**31, (count, self.WIDTH), dtype=np.int64).tolist()
        self.clauses = (
            np.clip(rng.lognormal(np.log(MEDIAN_CLAUSES), SPREAD, count), 3, 40).astype(int).tolist()
        )
        self.days = rng.integers(0, DAYS, count).tolist()
        self.ages = np.clip(rng.gamma(1.6, 900, count), 3, 14 * 365).astype(int).tolist()
        self.sexes = rng.integers(0, 100, count).tolist()
        self.jaccards = rng.uniform(0.6, 1, count).tolist()
        self.copies = rng.random((count, 2)).tolist()
        banks = ("outpatient_diseases", "inpatient_diseases")
        self.ill = {bank: _zipf(rng, count, len(W[bank])) for bank in banks}

    def diseases(self, bank: str, row: int) -> list[str]:
        """One to three different ones."""
        return [W[bank][d] for d in dict.fromkeys(self.ill[bank][row])]


def _zipf(rng: np.random.Generator, count: int, kinds: int) -> list[list[int]]:
    """int[count, 3]: kinds by a power law; the commonest of 90 is about 300 times as common as the rarest."""
    share = 1 / np.arange(1, kinds + 1) ** 1.25
    return rng.choice(kinds, (count, 3), p=share / share.sum()).tolist()


class Words:
    """Takes words of banks by the numbers of one row, one after another."""

    def __init__(self, numbers: Sequence[int]):
        self.numbers, self.at = numbers, 0

    def one(self, bank: str) -> str:
        self.at += 1
        words = W[bank]
        return words[self.numbers[self.at % Draws.WIDTH] % len(words)]

    def some(self, bank: str, low: int, high: int) -> str:
        many = low + self.number(high - low + 1)
        return "，".join(dict.fromkeys(self.one(bank) for _ in range(many))) + "。"

    def number(self, below: int) -> int:
        self.at += 1
        return self.numbers[self.at % Draws.WIDTH] % below


def _clause(take: Words) -> str:
    kind = take.number(6)
    if kind == 0:
        unit = ("天", "天", "周", "小时")[take.number(4)]
        begun = f"{1 + take.number(13)}{unit}前{take.one('causes')}出现"
        return f"{begun}{take.one('symptoms')}、{take.one('symptoms')}"
    if kind == 1:
        return f"{take.one('symptoms')}{take.one('qualities')}"
    if kind == 2:
        return f"最高体温{37 + take.number(4)}.{take.number(10)}℃，{take.one('courses')}"
    if kind == 3:
        return f"病程中{take.one('general')}"
    if kind == 4:
        return f"伴{take.one('symptoms')}，{take.one('courses')}"
    return f"{take.one('general')}，{take.one('qualities')}"


def _history(take: Words, clauses: int) -> str:
    return "患儿" + "，".join(_clause(take) for _ in range(clauses)) + "。"


def outpatient(drawn: Draws, row: int, texts: list[dict[str, str]], own: int, k: int) -> dict[str, str]:
    """A new record, or a copy of an earlier one of this child (or of any child before him)."""
    take = Words(drawn.numbers[row])
    copied, whose = drawn.copies[row]
    if copied < COPIES and texts and (k or whose >= OWN_COPIES):
        place = own + take.number(k) if k and whose < OWN_COPIES else take.number(len(texts))
        return _edited(texts[place], drawn.jaccards[row], take)
    names = drawn.diseases("outpatient_diseases", row)
    names = names[: 1 + (take.number(10) > 6)]
    return {
        "chief_complaint": f"{take.one('symptoms')}、{take.one('symptoms')}{1 + take.number(14)}天",
        "history_of_present_illness": _history(take, drawn.clauses[row]),
        "past_medical_history": take.some("past", 1, 4),
        "physical_examination": f"T {36 + take.number(4)}.{take.number(10)}℃，" + take.some("signs", 4, 12),
        "preliminary_diagnosis": _list(names),
        "treatment_recommendation": take.some("advice", 2, 6),
        "treatment_plan": "，".join(take.one("drugs") + take.one("uses") for _ in range(1 + take.number(3)))
        + "；查"
        + take.some("tests", 1, 4),
    }


def _list(names: Sequence[str]) -> str:
    return "".join(f"{n}.{name} " for n, name in enumerate(names, 1)).strip() if len(names) > 1 else names[0]


def _edited(sections: dict[str, str], jaccard: float, take: Words) -> dict[str, str]:
    """Characters replaced in history and examination, each of which costs five 5-grams on both sides."""
    length = sum(map(len, sections.values()))
    changes = round(length * (1 - jaccard) / (5 * (1 + jaccard)))
    copy = dict(sections)
    for section in ("history_of_present_illness", "physical_examination"):
        characters = list(copy[section])
        for _ in range(round(changes * len(characters) / length * 1.4)):
            characters[take.number(len(characters))] = chr(0x4E00 + take.number(20_000))
        copy[section] = "".join(characters)
    return copy


def report(drawn: Draws, row: int) -> dict[str, str]:
    take = Words(drawn.numbers[row][::-1])
    seen = "，".join(f"{take.one('lobes')}见{take.one('shadows')}" for _ in range(1 + take.number(3)))
    names = drawn.diseases("inpatient_diseases", row)
    return {
        "findings": f"{seen}，{take.some('chests', 2, 6)}",
        "impression": _list(names[: 1 + take.number(2)]) + "。",
    }


def diagnosis(drawn: Draws, row: int) -> str:
    names = drawn.diseases("inpatient_diseases", row)
    return _list(names)


def first_course(drawn: Draws, row: int) -> dict[str, str]:
    take = Words(drawn.numbers[row])
    return {
        "history_of_present_illness": _history(take, drawn.clauses[row] + 8),
        "physical_examination": take.some("signs", 8, 16),
        "auxiliary_examination": take.some("tests", 3, 6)
        + f"WBC {4 + take.number(16)}.{take.number(10)}×10^9/L。",
        "clinical_history_features": _history(take, 5),
        "diagnostic_basis": _history(take, 3) + take.some("signs", 3, 6),
        "admission_diagnosis": diagnosis(drawn, row),
        "diagnostic_and_treatment_plan": take.some("plans", 4, 10),
    }


def ward_round(drawn: Draws, row: int, offset: int) -> dict[str, str]:
    numbers = drawn.numbers[row]
    take = Words(numbers[offset:] + numbers[:offset])
    return {
        "clinical_history_features": _history(take, 5),
        "additional_clinical_history_and_signs": take.some("past", 2, 5) + take.some("signs", 6, 12),
        "diagnostic_basis": _history(take, 3) + take.some("signs", 3, 6),
        "current_diagnosis": diagnosis(drawn, row),
        "diagnostic_and_treatment_plan": take.some("plans", 4, 10),
    }


INPATIENT: dict[str, Callable[[Draws, int], dict[str, str]]] = {
    "first_course_record": first_course,
    "attending_round_record": partial(ward_round, offset=50),
    "chief_round_record": partial(ward_round, offset=100),
}
