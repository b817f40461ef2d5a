"""What curate does, for anyone's file, outside any run: `p2med dedup`, `p2med diagnoses`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from p2med.errors import RecipeError


def dedup(
    source: Annotated[Path, typer.Argument(metavar="IN", help="a JSONL or Parquet file")],
    column: Annotated[str, typer.Option(help="the column with the text")],
    out: Annotated[Path, typer.Option(help="what is kept, in the input's format")],
    pairs: Annotated[
        Path | None, typer.Option(help="what goes beside what it repeats: .jsonl, .parquet, .html")
    ] = None,
    by: Annotated[str | None, typer.Option(help="count what goes for each value of this column")] = None,
    unit: Annotated[str, typer.Option(help="char or word")] = "char",
    digits: Annotated[str, typer.Option(help="keep, or mask: all digits are equal")] = "keep",
    ngram: Annotated[int, typer.Option(min=1)] = 5,
    bands: Annotated[int, typer.Option(min=1)] = 256,
    rows: Annotated[int, typer.Option(min=1)] = 16,
    threshold: Annotated[float, typer.Option(help="least Jaccard of a duplicate")] = 0.85,
    verify: Annotated[
        bool, typer.Option(help="--no-verify: sharing a bucket is enough, as the paper reads")
    ] = True,
    threads: Annotated[int, typer.Option(min=0, help="0: one for each core")] = 0,
) -> None:
    """Remove near-duplicate texts from a file: MinHash proposes, exact Jaccard decides."""
    values = {"unit": unit, "digits": digits, "ngram": ngram, "bands": bands, "rows": rows, "verify": verify}
    try:
        config = importlib.import_module("p2med.curate.config").DedupConfig(min_jaccard=threshold, **values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(f"dedup {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    print(
        importlib.import_module("p2med.curate.dedup_files").run(
            source, column, out, config, pairs, by, threads
        )
    )


def diagnoses(
    source: Annotated[Path, typer.Argument(metavar="IN", help="a text file, a line each, or JSONL")],
    out: Annotated[Path, typer.Option(help="JSON lines, one for each line of IN")],
    column: Annotated[str, typer.Option(help="the field with the text, of JSONL")] = "text",
) -> None:
    """Name the diseases of every line: label, ICD-10 code, certainty and place."""
    print(importlib.import_module("p2med.curate.diagnoses_files").run(source, out, column))
