"""`p2med deid`: the verb of a recipe, and the commands that work alone.

p2med deid recipes/demo.yaml             the verb, as in `p2med run`
p2med deid folder IN OUT --key FILE      a folder of DICOM
p2med deid text --key FILE               notes as JSON lines

A module named in MODULES offers one function `command`, which typer turns into the command; it is imported
when it runs.
"""

import importlib

import typer
from typer.core import TyperGroup

MODULES = {
    "certify": "p2med.certify.command",
    "folder": "p2med.deid.folder_command",
    "text": "p2med.deid.text_command",
}


class DeidGroup(TyperGroup):
    """A group in which anything but a command's name is taken for the recipe of the verb."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        if args and args[0] not in ("--help", *self.list_commands(ctx)):
            args = ["recipe", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx) -> list[str]:
        return [*super().list_commands(ctx), *MODULES]

    def get_command(self, ctx, cmd_name: str):
        if cmd_name not in MODULES:
            return super().get_command(ctx, cmd_name)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(name=cmd_name)(importlib.import_module(MODULES[cmd_name]).command)
        return typer.main.get_command(alone)
