"""The data engine at the sizes of its goals; results in data_engine.md.

python bench/data_engine.py leaks             six planted kinds, 60 each, and 12,500 clean cases
python bench/data_engine.py paper --out DIR   684,758 outpatient records through curate and mix
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "curate"))
from planted_leaks import hospital, plant

from p2med.curate.config import DedupConfig, LeakConfig
from p2med.curate.leaks import KINDS, find_leaks


def leaks(cases: int, each: int) -> None:
    """Alarms on the clean hospital; found, missed and false after planting."""
    began = time.monotonic()
    made = hospital(cases)
    training, bench = made.sides()
    print(
        f"{len(training)} training and {len(bench)} benchmark cases, made in {time.monotonic() - began:.0f} s"
    )
    began = time.monotonic()
    alarms = find_leaks(training, bench, LeakConfig(), DedupConfig())
    print(f"clean: {len(alarms)} alarms, {time.monotonic() - began:.1f} s", Counter(x.kind for x in alarms))
    plant(made, each)
    training, bench = made.sides()
    began = time.monotonic()
    found = find_leaks(training, bench, LeakConfig(), DedupConfig())
    print(f"planted {each} of each kind; searched in {time.monotonic() - began:.1f} s")
    planted = {i for ids in made.planted.values() for i in ids}
    print(f"{'kind':16} {'planted':>7} {'found':>6} {'missed':>6} {'false':>6}")
    for kind in KINDS:
        wanted, right = set(made.planted[kind]), made.found(found, kind)
        false = {x.training for x in found if x.kind == kind} - planted
        print(f"{kind:16} {len(wanted):7} {len(right):6} {len(wanted - right):6} {len(false):6}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("leaks")
    one.add_argument("--cases", type=int, default=12_500)
    one.add_argument("--each", type=int, default=60)
    options = parser.parse_args()
    if options.what == "leaks":
        leaks(options.cases, options.each)


if __name__ == "__main__":
    main()
