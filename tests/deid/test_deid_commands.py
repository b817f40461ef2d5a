"""`p2med deid` takes a recipe as before, and commands beside it."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from p2med import cli
from p2med.deid import commands


def run(*words: str) -> subprocess.CompletedProcess[str]:
    code = "from p2med.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


@pytest.mark.parametrize("options_first", [True, False])
def test_a_recipe_is_a_recipe_wherever_its_options_stand(tmp_path, options_first):
    words = ["--runs", str(tmp_path)]
    words = [*words, "recipes/demo.yaml"] if options_first else ["recipes/demo.yaml", *words]
    done = run("deid", *words)
    assert done.returncode == 2 and "1_ingest is not finished" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_is_found_by_its_name_and_imported_only_then(monkeypatch):
    monkeypatch.setitem(commands.MODULES, "echo", "deid_no_such_module")
    assert CliRunner().invoke(cli.app, ["key", "--help"]).exit_code == 0
    with pytest.raises(ModuleNotFoundError):
        CliRunner().invoke(cli.app, ["deid", "echo"], catch_exceptions=False)


def test_every_named_command_has_a_function():
    group = typer.main.get_group(cli.deid)
    assert sorted(group.list_commands(None)) == sorted(["recipe", *commands.MODULES])
    for name in commands.MODULES:
        assert group.get_command(None, name).help
