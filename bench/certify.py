"""Certify a run of the synthetic hospital at full size and print the figures.

    python bench/certify.py --out FOLDER [--patients 300] [--copied 100] [--per-class 1000] [--seed 1]

The run is made once below FOLDER and used again.
"""

import argparse
import time
from pathlib import Path

from p2med.certify.certificate import Certificate
from p2med.certify.run import certify
from p2med.curate.run import run as curate
from p2med.deid.run import run as deid
from p2med.ingest.run import run as ingest
from p2med.recipe import read_recipe
from p2med.synth.config import SynthConfig
from p2med.synth.run import run as synth

RECIPE = Path(__file__).parents[1] / "recipes" / "demo.yaml"


def table(found: Certificate) -> str:
    """The certificate's classes as Markdown."""
    lines = ["| place | class | known | planted | withheld | searched | leaked | recall | 95 % bound |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for r in found.classes:
        recall = "–" if r.recall is None else f"{r.recall:.4f}"
        bound = "–" if r.lower_95 is None else f"{r.lower_95:.4f}"
        known = "yes" if r.known else "no"
        counts = f"{r.planted} | {r.withheld} | {r.searched} | {r.leaked}"
        lines.append(f"| {r.place} | {r.kind} | {known} | {counts} | {recall} | {bound} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    for name, default in (
        ("patients", 300),
        ("copied", 100),
        ("per-class", 1000),
        ("seed", 1),
        ("workers", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    root = args.out / "demo"
    recipe = read_recipe(RECIPE, tuple(f"{v}.workers={args.workers}" for v in ("deid", "curate")))
    assert recipe.ingest and recipe.deid and recipe.curate
    synth(SynthConfig(patients=args.patients, workers=args.workers), root / "0_synth")
    ingest(recipe.ingest, root)
    deid(recipe.deid, root)
    curate(recipe.curate, root)
    start = time.monotonic()
    found = certify(root, args.out / "certificate", args.copied, args.per_class, args.seed)
    print(table(found))
    print(
        f"\n{found.planted} planted, {found.leaked} leaked, {time.monotonic() - start:.0f} s: {found.leaks}"
    )
    print(found.damage, found.dates, found.searched, found.residual.kinds, found.linkage, sep="\n")


if __name__ == "__main__":
    main()
