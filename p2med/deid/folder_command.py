"""`p2med deid folder`: counts and reasons for people; paths of originals only where they are asked for."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from p2med.deid.burned_in_ocr import require_ocr
from p2med.deid.dicom_pixels import BurnedIn
from p2med.deid.folder import clean_folder, input_paths
from p2med.deid.folder_file import VERDICTS, Row, Settings
from p2med.deid.pseudonym import DEFAULT_SITE, read_key
from p2med.errors import P2MedError


def command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="a folder of DICOM files; it is not changed")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder, or one of an unfinished run")],
    key: Annotated[Path, typer.Option(help="the secret key; make one with `p2med key FILE`")],
    burned_in: Annotated[
        BurnedIn, typer.Option(help="text in the pixels: mask it outside the lungs, reject it, or keep it")
    ] = "mask",
    max_date_shift_days: Annotated[int, typer.Option(min=1, help="the longest shift of a patient")] = 365,
    site: Annotated[
        str, typer.Option(help="whose patient numbers these are: a recipe's source")
    ] = DEFAULT_SITE,
    ocr: Annotated[
        bool, typer.Option("--ocr", help="search the pixels with RapidOCR too (pip install p2med[ocr])")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="processes; 0: one for each core")] = 0,
    listing: Annotated[
        Path | None,
        typer.Option("--list", help="write which original became what; secret, as it holds the paths"),
    ] = None,
) -> None:
    """De-identify a folder of DICOM files; each is accepted, rejected or quarantined, with a reason."""
    if ocr:
        require_ocr()
    secret = read_key(key)
    for path in (key, listing):
        if path is not None and out.resolve() in path.resolve().parents:
            raise P2MedError(f"{path} must not lie in {out}: whoever gets that folder must not get it")
    if listing is not None and source.resolve() in listing.resolve().parents:
        raise P2MedError(f"{listing} must not lie in {source}: originals are never written")
    rows = clean_folder(source, out, secret, Settings(burned_in, max_date_shift_days, ocr, site), workers)
    if listing is not None:
        _write_listing(listing, source, rows)
    _print(rows, out)


def _print(rows: list[Row], out: Path) -> None:
    for verdict in VERDICTS:
        mine = [r for r in rows if r.verdict == verdict]
        print(f"{verdict:<12}{len(mine):>8}")
        for reason, count in sorted(Counter(r.reason for r in mine if r.reason).items()):
            print(f"  {reason:<30}{count:>8}")
    print(f"report: {out / 'report.json'}")


def _write_listing(path: Path, source: Path, rows: list[Row]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        for name, row in zip(input_paths(source), rows, strict=True):
            line = {"path": name, "verdict": row.verdict, "reason": row.reason, "output": row.output}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
