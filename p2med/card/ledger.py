"""Which parts a model is made of, under which licence each stands, and which uses that leaves.

A part is known by what the recipe states and by what its folder's README states; by neither, only research
inside the project is left. What README and shape of a folder forbid, no statement frees.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from p2med import plugins
from p2med.card.config import Statement, Use
from p2med.card.table import table
from p2med.errors import RecipeError
from p2med.files import resolve
from p2med.schema.base import Frozen
from p2med.store import read_manifest, verb_folder

MADE_HERE, INVENTED = "made-here", "invented"
SYNTH = "run:0_synth/"
PATH_TYPES = (str, str | None, tuple[str, ...])
Found = tuple[str, str, Path | None, str | None]
"""(part, title, folder of its weights, set or row of the table that it stands under)."""
UNKNOWN = "no licence is known"
NOUNS: dict[Use, str] = {
    "research": "research",
    "clinical": "clinical use",
    "commercial": "commercial use",
    "redistribute": "redistribution",
}


class Part(Frozen):
    """One line of the ledger; `forbids` and `asks` hold clauses, `permits` the paper that permits, by use."""

    part: str
    title: str
    licences: tuple[str, ...]
    """Names of the table, or one in the recipe's words; none: unknown."""
    source: str = ""
    known_by: str = ""
    forbids: dict[Use, str] = {}
    asks: dict[Use, str] = {}
    permits: dict[Use, str] = {}

    def refusal(self, use: Use) -> str | None:
        """Why this part may not serve `use`: part, licence and clause; None when it may."""
        if use in self.permits:
            return None
        if use in self.forbids:
            return f"{self.part} ({self.title}) forbids {NOUNS[use]}: {self.forbids[use]}"
        if not self.licences and use != "research":
            return (
                f"{self.part} ({self.title}): {UNKNOWN}, so {NOUNS[use]} is refused; say it in the recipe, "
                f"`licences: [{{part: {self.part}, licence: ..., source: ...}}]`, and run train again"
            )
        return None


def ledger(
    model: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    statements: Sequence[Statement],
    root: Path,
) -> list[Part]:
    """Every part of a recipe.

    Args:
      model, sources: the recipe's `model` section and `ingest.sources`, as plain values.
      root: the run folder that `run:` paths are about.

    Raises:
      RecipeError: a statement names no part of this recipe, contradicts a folder, or says too little.
    """
    said: dict[str, Statement] = {}
    for statement in statements:
        if said.setdefault(statement.part, statement) is not statement:
            raise RecipeError(f"licences: {statement.part} stands there twice")
    parts = [
        part(name, title, said.get(name), folder, data)
        for name, title, folder, data in (*_of_model(model, root), *_of_data(sources))
    ]
    unknown = sorted(set(said) - {p.part for p in parts})
    if unknown:
        known = ", ".join(p.part for p in parts)
        raise RecipeError(f"licences: {', '.join(unknown)} is no part of this recipe; its parts are {known}")
    return parts


def check_use(
    model: BaseModel | None,
    sources: Sequence[BaseModel],
    statements: Sequence[Statement],
    uses: Sequence[Use],
    root: Path,
    mixed: bool = False,
) -> dict[str, Any]:
    """Refuse what a recipe is for, or say what its training should keep of its parts.

    Args:
      mixed: the data stand in `root` already, and what ingest has read there counts beside the recipe.

    Raises:
      RecipeError: a part forbids a use: its name, licence and clause.
    """
    plain = [s.model_dump(mode="json") for s in sources]
    ingested = read_manifest(verb_folder(root, "ingest")) if mixed else None
    plain += [s for s in (ingested.section["sources"] if ingested else ()) if s not in plain]
    parts = ledger(model.model_dump(mode="json") if model else {}, plain, statements, root)
    refuse(parts, uses)
    return {"use": list(uses), "parts": [p.model_dump(mode="json") for p in parts]}


def refuse(parts: Sequence[Part], uses: Sequence[Use]) -> None:
    """Stop when a part forbids a use.

    Raises:
      RecipeError: with part, licence and clause of each.
    """
    found = refusals(parts, uses)
    if found:
        raise RecipeError("refused: " + "; ".join(found))


def refusals(parts: Sequence[Part], uses: Sequence[Use]) -> list[str]:
    """Every reason against the uses, part by part."""
    return [why for use in uses for p in parts if (why := p.refusal(use))]


# ---------------------------------------------------------------- which parts


def _of_model(model: Mapping[str, Any], root: Path) -> Iterator[Found]:
    for name in ("llm", "encoder", "connector", "adapter"):
        section = model.get(name)
        weights = section.get("weights") if section else None
        if section is None or (name == "adapter" and not weights):
            continue
        title = section.get("kind") or "language model"
        if weights:
            yield name, Path(weights).name, resolve(weights, root), None
        else:
            yield name, f"{title}, random weights", None, MADE_HERE
    tokenizer = model.get("tokenizer") or {}
    if tokenizer.get("path"):
        shared = _shared(tokenizer["path"])
        yield "tokenizer", Path(tokenizer["path"]).name, None, shared and f"data:{shared}"
    elif tokenizer:
        yield "tokenizer", "learned on the training text", None, MADE_HERE


def _of_data(sources: Sequence[Mapping[str, Any]]) -> Iterator[Found]:
    """Shared sets by their name, invented data, and everything else by its place in the recipe."""
    seen: set[str] = set()
    if not sources:
        yield "data", "conversations that this recipe did not read", None, None
    for number, source in enumerate(sources, 1):
        found: set[Found] = set()
        for path in _paths(source):
            if shared := _shared(path):
                found.add((f"data:{shared}", shared, None, f"data:{shared}"))
            elif path.startswith(SYNTH) and ".." not in Path(path).parts:
                found.add(("synth", "synthetic hospital", None, INVENTED))
            else:
                found.add((f"source-{number}", f"{source['kind']}, your own", None, None))
        for row in sorted(found, key=lambda x: x[0]):
            if row[0] not in seen:
                seen.add(row[0])
                yield row


def _paths(source: Mapping[str, Any]) -> Iterator[str]:
    """Where a source reads: its options that are plain strings, with their defaults.

    The defaults name the set that a reader is made for. A source that cannot be understood is your own.
    """
    options = plugins.load("p2med.ingest.sources", source["kind"]).Options
    try:
        read = options.model_validate({k: v for k, v in source.items() if k != "kind"})
    except ValidationError:
        yield ""  # `ingest` says what is wrong with it
        return
    for name, field in options.model_fields.items():
        value = getattr(read, name)
        if field.annotation in PATH_TYPES and value is not None:
            yield from (value,) if isinstance(value, str) else value


def _shared(path: str) -> str | None:
    inside = path.startswith("data:") and ".." not in Path(path).parts
    return path[5:].partition("/")[0] if inside else None


# ---------------------------------------------------------------- what is known of one


def part(name: str, title: str, statement: Statement | None, folder: Path | None, row: str | None) -> Part:
    """One part with everything that is stated of it and seen in it.

    Raises:
      RecipeError: the statement contradicts the folder or says too little.
    """
    found = Part(part=name, title=title, licences=())
    if row in (MADE_HERE, INVENTED):
        found = _with(found, (row,), "the run itself")
    elif row and row[5:] in table().data:
        found = _with(found, table().data[row[5:]].licences, "the README of the data")
    elif folder is not None:
        found = _from_readme(found, folder)
    config = _config(folder) if folder else {}
    if statement is not None:
        stated = _stated(found, statement, config)
        # What the README forbids stays forbidden: only `permits` lifts it, with the paper that does.
        found = stated.model_copy(update={"forbids": found.forbids | stated.forbids})
    return _betrayed(found, config)


def _with(found: Part, licences: Sequence[str], known_by: str, **more: Any) -> Part:
    rows = [table().licences[x] for x in licences]
    values = {
        "licences": tuple(licences),
        "source": ", ".join(dict.fromkeys(row.source for row in rows)),
        "known_by": f"{known_by} (table: {', '.join(dict.fromkeys(row.checked for row in rows))})",
        "forbids": table().forbidden_by(licences),
        "asks": table().asked_by(licences),
    }
    return found.model_copy(update=values | more)


def _from_readme(found: Part, folder: Path) -> Part:
    """The licence in the header of a Hugging Face README; `other` says its name in `license_name`."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
        header = yaml.safe_load(text.split("---", 2)[1]) if text.startswith("---") else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, IndexError):
        return found
    values = [header.get(k) for k in ("license_name", "license")] if isinstance(header, dict) else []
    for value in values:
        licence = table().by_hugging_face(value.lower()) if isinstance(value, str) else None
        if licence:
            return _with(found, (licence,), "the folder's README")
    return found


def _stated(found: Part, said: Statement, config: Mapping[str, Any]) -> Part:
    """What the recipe says of the part, in place of what its README says."""
    by = "the recipe"
    permits = {use: str(said.by) for use in said.permits}
    if said.name is not None:
        if said.name not in table().models:
            raise RecipeError(
                f"licences, {said.part}: no model {said.name!r}; known: {', '.join(table().models)}"
            )
        known = table().models[said.name]
        if config and known.shape and said.name not in table().with_shape(config):
            seen = {k: config.get(k) for k in known.shape[0]}
            where = f"licences, {said.part}"
            raise RecipeError(f"{where}: the folder is no {said.name}: its config.json has {seen}")
        found = _with(found, known.licences, by, title=f"{found.title}: {known.title}")
        asks = found.asks | known.asks
        return found.model_copy(
            update={"permits": permits, "asks": asks, "source": known.source or found.source}
        )
    if said.licence in table().licences:
        found = _with(found, (said.licence,), by)
    elif said.licence is not None:
        if said.forbids is None or said.source is None:
            raise RecipeError(
                f"licences, {said.part}: {said.licence!r} is not in the table, so say also what it `forbids` "
                f"([] for nothing) and its `source`; in the table are {', '.join(table().licences)}"
            )
        clause = f"{said.licence}, as the recipe states it"
        values = {"licences": (said.licence,), "source": said.source, "known_by": by, "asks": {}}
        found = found.model_copy(update=values | {"forbids": {use: clause for use in said.forbids}})
    return found.model_copy(update={"permits": permits})


def _betrayed(found: Part, config: Mapping[str, Any]) -> Part:
    """Add what every model of this shape is bound by."""
    candidates = table().with_shape(config)
    if not candidates:
        return found
    bound = [set(table().models[c].licences) for c in candidates]
    common = sorted(set.intersection(*bound) - set(found.licences) - {"Apache-2.0", "MIT"})
    if not common:
        return found
    return found.model_copy(
        update={
            "licences": (*found.licences, *common) if found.licences else (),
            "known_by": f"{found.known_by}; its shape: {' or '.join(candidates)}".removeprefix("; "),
            "forbids": table().forbidden_by(common) | found.forbids,
            "asks": table().asked_by((*found.licences, *common)) if found.licences else {},
        }
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
