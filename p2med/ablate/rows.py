"""The rows of an ablation's table: ratings of finished runs, each checked to be what its recipe says.

A row that is stale, that someone edited, or that was asked other questions is refused by name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from p2med import store
from p2med.ablate.config import Words
from p2med.arrow import from_table
from p2med.errors import P2MedError
from p2med.model.checkpoint import DIGESTS
from p2med.recipe import Recipe
from p2med.schema.rating import Answer, Rating
from p2med.train.record import identity_of, is_finished

Item = tuple[str, int]
"""A question of the benchmark: conversation and round."""
Score = tuple[str, str, str]
"""Task, component, metric."""
METRICS = ("accuracy", "comprehensiveness", "exact")
CHAINED = ("ingest", "deid", "curate", "mix")


class Run(NamedTuple):
    """A finished run: what it answered, how that was rated, and what it was made from."""

    name: str
    stages: tuple[str, ...]
    checkpoint: str
    values: dict[Score, dict[Item, float]]
    asked: dict[tuple[str, str, int], Mapping[str, str] | str | None]
    code: str
    """Digest of the code that asked and rated."""


class Row(NamedTuple):
    """A line of the table; of one run, or of several that share no task (Fig. 5)."""

    name: str
    title: Words
    runs: tuple[Run, ...]
    values: dict[Score, dict[Item, float]]


def read_run(recipe: Recipe, root: Path) -> Run:
    """The ratings of a run with the patient's own images.

    Raises:
      P2MedError: the run is not finished, or not of this recipe, this data and these weights.
    """
    assert recipe.train
    bench_manifest = _refuse_stale(recipe, root)
    bench = store.verb_folder(root, "bench")
    values: dict[Score, dict[Item, float]] = {}
    for r in from_table(pq.read_table(bench / "ratings.parquet"), Rating):
        if r.condition == "true" and r.metric in METRICS and r.value is not None:
            score = (r.task, r.component, r.metric)
            values.setdefault(score, {})[(r.conversation_id, r.round)] = r.value
    asked = {
        (a.task, a.conversation_id, a.round): a.reference_answer or a.reference_sections
        for a in store.read_items(bench, Answer)
        if a.condition == "true"
    }
    return Run(
        name=recipe.name,
        stages=tuple(s.stage for s in recipe.train.stages),
        checkpoint=bench_manifest.section["checkpoint_digest"],
        values=values,
        asked=asked,
        code=bench_manifest.code,
    )


def _refuse_stale(recipe: Recipe, root: Path) -> store.Manifest:
    """The benchmark's manifest; every verb's must be of this recipe and of the folder before it."""
    found: dict[str, store.Manifest] = {}
    for verb in (*CHAINED, "bench"):
        manifest = store.read_manifest(store.verb_folder(root, verb))
        section = getattr(recipe, verb)
        if manifest is None and section is None:
            continue
        if manifest is None:
            raise _stale(recipe, verb, "is not finished")
        said = manifest.section["config"] if verb == "bench" else manifest.section
        if section is not None and said != section.model_dump(mode="json"):
            raise _stale(recipe, verb, "is of another recipe")
        for before, digest in manifest.inputs.items():
            if digest != store.sha256_of(store.verb_folder(root, before) / "manifest.json"):
                raise _stale(recipe, verb, f"was made from another {before}")
        found[verb] = manifest
    last = _refuse_stale_training(recipe, root)
    bench = found["bench"]
    if bench.section["checkpoint_digest"] != store.sha256_of(last / DIGESTS):
        raise _stale(recipe, "bench", "is of other weights")
    for name, digest in bench.files.items():
        path = store.verb_folder(root, "bench") / name
        if name.endswith(".parquet") and (not path.exists() or store.sha256_of(path) != digest):
            raise _stale(recipe, "bench", f"has another {name} than it wrote")
    return bench


def _refuse_stale_training(recipe: Recipe, root: Path) -> Path:
    """The last stage's folder; every stage must be what this code would make of this recipe and mix."""
    assert recipe.train and recipe.model and recipe.curate
    previous: Path | None = None
    for entry in recipe.train.stages:
        place = store.verb_folder(root, "train") / entry.stage
        mix = store.verb_folder(root, "mix")
        identity = identity_of(recipe.train, recipe.model, recipe.curate.image, entry, mix, previous)
        if not is_finished(place, identity):
            raise _stale(recipe, "train", f"has no up-to-date stage {entry.stage}")
        previous = place
    assert previous is not None
    return previous


def _stale(recipe: Recipe, verb: str, what: str) -> P2MedError:
    return P2MedError(f"run {recipe.name}: its {verb} {what}; delete that folder and run the ablation again")


def make_row(name: str, title: Words, runs: Sequence[Run]) -> Row:
    """One line of one or several runs; they share no task."""
    return Row(name, title, tuple(runs), {s: v for run in runs for s, v in run.values.items()})


def refuse_other_questions(full: Run, run: Run) -> None:
    """Differences are between answers to the same questions, by the same code.

    Raises:
      P2MedError: they are not.
    """
    if full.code != run.code:
        raise P2MedError(f"run {run.name} was asked by other code than {full.name}; run the ablation again")
    tasks = {task for task, _, _ in run.asked}
    wanted = {item: said for item, said in full.asked.items() if item[0] in tasks}
    if wanted != run.asked:
        n = len(set(wanted) ^ set(run.asked)) or sum(wanted[i] != run.asked[i] for i in wanted)
        raise P2MedError(f"run {run.name} was asked other questions than {full.name}: {n} differ")
