"""What two runs have in common is done once: finished folders become hard links, so nothing is copied.

Shared are the data verbs as long as the recipes agree, and the training stages that were made by exactly
what the variant's own would be made by. p2med never writes into a file that is there (files.py), so a run
that goes on, or is made again, leaves the others as they are.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from p2med import store
from p2med.model.checkpoint import STAGES
from p2med.recipe import Recipe
from p2med.train.record import identity_of, is_finished

DATA_VERBS = ("synth", "ingest", "deid", "curate", "mix")
MARKS = {"synth": "summary.json"}
"""The file that a verb's folder ends with; manifest.json when not named."""


def share_data(base: Recipe, base_root: Path, variant: Recipe, root: Path) -> None:
    """Link the base run's folders, of the verbs that the recipes agree on."""
    for verb in other_data(base, base_root, variant, root):
        link_folder(store.verb_folder(base_root, verb), store.verb_folder(root, verb))


def other_data(base: Recipe, base_root: Path, variant: Recipe, root: Path) -> list[str]:
    """The data verbs that both recipes agree on and whose folders do not hold the same."""
    found = []
    for verb in DATA_VERBS:
        if getattr(base, verb) != getattr(variant, verb):
            break
        mark = MARKS.get(verb, "manifest.json")
        ours, theirs = (store.verb_folder(r, verb) / mark for r in (base_root, root))
        if ours.exists() and not (theirs.exists() and store.sha256_of(ours) == store.sha256_of(theirs)):
            found.append(verb)
    return found


def share_features(base_root: Path, root: Path) -> None:
    """Link the frozen encoders' features: they lie under the content of encoder and image."""
    for source in sorted((base_root / "cache" / "features").glob("*/*.safetensors")):
        place = root / source.relative_to(base_root)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, place)


def share_stages(recipe: Recipe, root: Path, donors: Sequence[Path]) -> list[str]:
    """Link every training stage from the first on that a donor's run has finished in the same way.

    Returns:
      The stages that need no training.
    """
    assert recipe.train and recipe.model and recipe.curate
    folder, mix = store.verb_folder(root, "train"), store.verb_folder(root, "mix")
    if store.read_manifest(mix) is None:
        return []
    done: list[str] = []
    previous: Path | None = None
    for entry in recipe.train.stages:
        place = _trained(root, entry.stage)
        identity = identity_of(recipe.train, recipe.model, recipe.curate.image, entry, mix, previous)
        if not is_finished(place, identity):
            donor = next((d for d in donors if is_finished(_trained(d, entry.stage), identity)), None)
            if donor is None:
                break
            # `train` takes a folder without this file for a stranger's.
            store.write_json(folder / STAGES, [s.stage for s in recipe.train.stages])
            _copy_log(donor, root, entry.stage)
            link_folder(_trained(donor, entry.stage), place)
        done.append(entry.stage)
        previous = place
    return done


def _trained(root: Path, stage: str) -> Path:
    return store.verb_folder(root, "train") / stage


def _copy_log(donor: Path, root: Path, stage: str) -> None:
    """What the stage's curves are drawn from. A copy: a training that goes on appends to its log."""
    log = Path("log") / f"train_{stage}.jsonl"
    if (donor / log).exists() and not (root / log).exists():
        store.write_bytes(root / log, (donor / log).read_bytes())


def link_folder(source: Path, place: Path) -> None:
    """Put hard links to all files of `source` in the place of `place`, all of them or none."""
    aside, old = (place.with_name(f".{place.name}.{word}") for word in ("linking", "replaced"))
    for left in (aside, old):
        shutil.rmtree(left, ignore_errors=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, aside, copy_function=os.link)
    if place.exists():
        os.replace(place, old)
    os.replace(aside, place)
    shutil.rmtree(old, ignore_errors=True)
