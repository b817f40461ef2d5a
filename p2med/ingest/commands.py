"""`p2med map`: beside the verb."""

import importlib
from typing import Annotated

import typer

Export = Annotated[
    str, typer.Argument(help="a table, a folder of tables, or a database URL (sqlite:///emr.db)")
]


def map_export(export: Export) -> None:
    """Propose the `tables` of a recipe from an export's headings; samples are shown with values hidden."""
    module = importlib.import_module("p2med.ingest.propose")
    proposals = module.propose(export)
    print(module.as_yaml(proposals), end="")
