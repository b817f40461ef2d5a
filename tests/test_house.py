"""The house's own rules: who may import whom, plug-ins offer what their folder promises, recipes validate."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2med import plugins
from p2med.cli import PLUGIN_FOLDERS
from p2med.recipe import read_recipe

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "p2med"
GROUND = {"schema", "errors", "arrow", "files", "store", "plugins", "progress"}
GROUND |= {"pool", "guard", "guard_child"}
MAY_IMPORT = {
    "schema": set(),
    "errors": set(),
    "arrow": set(),
    "blas": set(),
    "pool": set(),
    "guard": {"errors", "guard_child"},
    "guard_child": {"errors"},
    "progress": set(),
    "plugins": {"errors"},
    "files": {"errors"},
    "store": {"schema", "errors", "arrow", "files"},
    "imaging": {"schema", "errors", "guard", "guard_child"},
    "clinical": {"schema", "errors"},
    "tasks": {"schema"},
    "consensus": {"schema", "errors", "tasks", "model"},
    "model": {"schema", "errors", "plugins", "imaging"},
    "synth": GROUND | {"imaging"},
    "ingest": GROUND | {"imaging"},
    "deid": GROUND | {"imaging"},
    "certify": GROUND | {"imaging", "ingest", "deid"},
    "curate": GROUND | {"imaging", "clinical"},
    "mix": GROUND | {"tasks"},
    "sheet": GROUND | {"clinical"},
    "card": GROUND | {"sheet"},
    "train": GROUND | {"model", "imaging"},
    "plan": GROUND | {"model", "train", "mix", "imaging"},
    "bench": GROUND | {"tasks", "consensus", "model", "clinical", "imaging"},
    "export": GROUND | {"model", "imaging"},
    "serve": GROUND | {"tasks", "consensus", "model", "imaging"},
    "ablate": GROUND | {"recipe", "tasks", "model", "train", "bench", "sheet"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "p2med":
            yield from ((node.lineno, f"p2med.{a.name}") for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names)


def faults(path: Path, source: str) -> list[str]:
    """Every import of this file that the table does not allow."""
    part, found = part_of(path), []
    for line, name in imports(source):
        pieces = name.split(".")
        if pieces[0] != "p2med" or len(pieces) == 1 or pieces[1] == "__version__":
            continue
        other = pieces[1]
        if part in MAY_IMPORT and other != part and other not in MAY_IMPORT[part]:
            found.append(f"{path.relative_to(REPOSITORY)}:{line} imports {name}")
        if name.startswith("p2med.schema.identified") and part not in ("ingest", "deid", "certify"):
            found.append(f"{path.relative_to(REPOSITORY)}:{line} imports identified data")
    return found


def test_each_part_imports_only_what_it_may():
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 50
    assert [f for p in paths for f in faults(p, p.read_text())] == []


@pytest.mark.parametrize(
    "file, line",
    [
        ("curate/run.py", "from p2med.deid import text"),
        ("tasks/base.py", "import p2med.store"),
        ("bench/run.py", "from p2med.schema.identified import IdentifiedCase"),
        ("schema/case.py", "from p2med import store"),
    ],
)
def test_a_planted_wrong_import_is_found(file, line):
    assert faults(PACKAGE / file, line)


def test_every_part_has_a_rule():
    parts = {part_of(p) for p in PACKAGE.rglob("*.py")} - {"__init__", "cli", "recipe"}
    assert parts == set(MAY_IMPORT)


def test_configurations_import_no_torch():
    for path in PACKAGE.rglob("config.py"):
        assert not [n for _, n in imports(path.read_text()) if n.split(".")[0] in ("torch", "transformers")]


def test_imports_stand_at_the_top():
    for path in PACKAGE.rglob("*.py"):
        inside = [
            f"{path}:{n.lineno}"
            for f in ast.walk(ast.parse(path.read_text()))
            if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef))
            for n in ast.walk(f)
            if isinstance(n, (ast.Import, ast.ImportFrom))
        ]
        assert inside == []


OFFERS = {
    "tasks": ["TASK"],
    "sources": ["Options", "read"],
    "encoders": ["Options", "build"],
    "connectors": ["Options", "build"],
    "adapters": ["Options", "build"],
    "objectives": ["loss"],
    "metrics": ["score"],
}


@pytest.mark.parametrize("kind", sorted(PLUGIN_FOLDERS))
def test_each_plugin_offers_what_its_folder_promises(kind):
    found = plugins.names(PLUGIN_FOLDERS[kind])
    assert found
    for name in found:
        module = plugins.load(PLUGIN_FOLDERS[kind], name)
        assert [o for o in OFFERS[kind] if not hasattr(module, o)] == [], name
        if kind == "tasks":
            assert module.TASK.name == name


RECIPES = [p for p in sorted((REPOSITORY / "recipes").rglob("*.yaml")) if p.parent.name != "ablations"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_validates_and_names_what_exists(path):
    recipe = read_recipe(path)
    tasks = set(plugins.names("p2med.tasks"))
    for stage in recipe.mix.stages.values() if recipe.mix else ():
        assert set(stage) <= tasks
    for source in recipe.ingest.sources if recipe.ingest else ():
        plugins.load("p2med.ingest.sources", source.kind)


def test_no_file_is_longer_than_its_reason():
    long = [(str(p), n) for p in PACKAGE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 320]
    assert long == []
