"""The same records, decisions and draws on every machine: pinned, so that another processor would show."""

import hashlib
import json
import random

import pytest

from p2med.curate.config import DedupConfig
from p2med.curate.dedup import deduplicate
from p2med.mix.balance import ranks


def texts() -> list[str]:
    dice = random.Random(0)
    words = [chr(0x4E00 + dice.randrange(400)) for _ in range(400)]
    found = []
    for _ in range(300):
        text = dice.choices(words, k=dice.randint(60, 160))
        found.append("".join(text))
        for _ in range(dice.randrange(3)):
            changed = list(text)
            for _ in range(dice.randrange(12)):
                changed[dice.randrange(len(changed))] = dice.choice(words)
            found.append("".join(changed))
    return found


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("verify", "wanted"), [(True, "09743564298e75d4"), (False, "b0ee7d2994e9a42b")])
def test_deduplication_decides_alike_on_every_machine(verify, wanted):
    found = deduplicate(texts(), DedupConfig(verify=verify), ids=[str(n) for n in range(len(texts()))])
    gone = found.original.tolist()
    assert sum(o >= 0 for o in gone) > 50
    assert digest(gone) == wanted


def test_draws_are_alike_on_every_machine():
    found = ranks([f"case{n}" for n in range(500)], "stage2 outpatient_record 0")
    order = [name for _, name in sorted(found)]
    assert order != sorted(order) and digest(order) == "49863330f481a9cf"
