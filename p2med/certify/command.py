"""`p2med deid certify RUN`."""

from pathlib import Path
from typing import Annotated

import typer

from p2med.certify.run import certify


def command(
    run: Annotated[Path, typer.Argument(help="a run folder, e.g. runs/demo", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="folder to write to; by default RUN/certificate")] = None,
    patients: Annotated[
        int, typer.Option(min=1, help="real patients whose texts and images are copied")
    ] = 100,
    per_class: Annotated[int, typer.Option(min=1, help="planted sentences of each kind")] = 300,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Plant invented identities into a copy, search every byte, write a certificate and a review queue."""
    found = certify(run, out or run / "certificate", patients, per_class, seed)
    print(f"planted {found.planted}, leaked {found.leaked}")
    for where, count in found.leaks.items():
        print(f"  leaked: {count:6}  {where}")
    values = sum(k.found for k in found.residual.kinds)
    print(f"values of real patients in the run's own output: {values}")
    if found.blocked:
        print(f"deid stopped the copy: {found.blocked}")
    print(f"certificate: {(out or run / 'certificate') / 'certificate.pdf'}")
