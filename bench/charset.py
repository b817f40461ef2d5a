"""How many headers are read as they were meant, under every right and wrong character set.

python bench/charset.py --children 1000
"""

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "ingest"))

from header_maker import (
    GIVEN,
    PATIENT_ID,
    PATIENT_NAME,
    SURNAMES,
    Made,
    child,
    foreign_headers,
    header,
    headers_of,
)

from p2med.deid.pseudonym import PUBLIC_KEY, Pseudonyms
from p2med.errors import DataError
from p2med.imaging.charset import repair
from p2med.imaging.header import parse
from p2med.imaging.identity import canonical_name
from p2med.ingest.header import read_instance


def judge(made) -> tuple[str, str, str]:
    """right, refused or damaged; and the patient's and the name's pseudonym."""
    try:
        instance = read_instance(made.content, "x")
    except DataError as error:
        return f"refused ({error.reason})", "", ""
    dataset = parse(made.content, pixels=False)
    repair(dataset)
    same = all(str(dataset[tag].value) == text for tag, text in made.truth.items())
    names = Pseudonyms(PUBLIC_KEY)
    name = canonical_name(str(dataset[PATIENT_NAME].value))
    return (
        "right" if same else "damaged",
        names.name("patient", instance.patient_id),
        names.name("name", name),
    )


def two_names(count: int, rng: random.Random) -> None:
    """Names of usual characters whose GBK bytes are UTF-8, too, in headers without any other text."""
    usual = sorted(c for c in {*SURNAMES, *GIVEN} if _is_utf8(c.encode("gbk")))
    for declared in ("ISO_IR 192", None, "ISO_IR 100", "GB18030"):
        verdicts: Counter[str] = Counter()
        for _ in range(count):
            name = f"{rng.choice(usual)}^{''.join(rng.choices(usual, k=rng.choice((1, 2))))}"
            truth = {PATIENT_NAME: rng.choice(("", "Wang^Xiaoa=")) + name, PATIENT_ID: "P0001"}
            content = header(declared, {t: v.encode("gbk") for t, v in truth.items()}, rng.random() < 0.3)
            verdicts[judge(Made("wrong", content, truth))[0]] += 1
        print(f"two names, GBK as {declared}: {dict(verdicts)}")


def _is_utf8(content: bytes) -> bool:
    return 0xC2 <= content[0] <= 0xDF and 0x80 <= content[1] <= 0xBF


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--children", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    rng, began = random.Random(given.seed), time.perf_counter()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    pseudonyms: Counter[int] = Counter()
    for number in range(given.children):
        keys = set()
        for made in headers_of(child(rng, number), rng):
            verdict, *key = judge(made)
            counts[made.kind][verdict] += 1
            if key[0]:  # also of what was read wrongly
                keys.add(tuple(key))
        pseudonyms[len(keys)] += 1
    for made in foreign_headers():
        counts[made.kind][judge(made)[0]] += 1
    for kind, verdicts in counts.items():
        print(f"{kind:32} {sum(verdicts.values()):6} {dict(verdicts)}")
    for side in ("right", "wrong"):
        total = sum((c for k, c in counts.items() if k.startswith(side)), Counter())
        n = sum(total.values())
        print(
            f"{side + ' labels':32} {n:6} read {100 * total['right'] / n:.3f} %, damaged {total['damaged']}"
        )
    print(f"pseudonyms of a child over all its headers: {dict(pseudonyms)}")
    headers = sum(sum(c.values()) for c in counts.values())
    print(f"{headers / (time.perf_counter() - began):.0f} headers a second, each read twice")
    two_names(2 * given.children, rng)


if __name__ == "__main__":
    main()
