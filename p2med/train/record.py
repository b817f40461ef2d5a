"""What a finished stage is known by, and the manifest of the verb."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2med import __version__, store
from p2med.errors import ModelError
from p2med.imaging.spec import ImageSpec
from p2med.model.checkpoint import DIGESTS, check_seal
from p2med.model.config import ModelSection
from p2med.store import Count, Manifest
from p2med.train.config import StageConfig, TrainConfig

CODE = ("train", "model", "schema", "store.py")


def identity_of(
    config: TrainConfig,
    model: ModelSection,
    image: ImageSpec,
    stage: StageConfig,
    mix: Path,
    previous: Path | None,
) -> dict[str, Any]:
    """Everything that decides a stage's weights, beside threads and device."""
    return {
        "version": __version__,
        "code": store.code_digest(*CODE),
        "stage": stage.model_dump(mode="json"),
        "dtype": [config.dtype, config.frozen_dtype],
        "model": model.model_dump(mode="json"),
        "image": image.model_dump(mode="json"),
        "mix": store.sha256_of(mix / "manifest.json"),
        "previous": store.sha256_of(previous / DIGESTS) if previous and not stage.anew else None,
    }


def is_finished(place: Path, identity: dict[str, Any]) -> bool:
    """True when the stage's folder is whole and was made by exactly this."""
    try:
        check_seal(place)
        return json.loads((place / "stage.json").read_bytes())["identity"] == identity
    except (ModelError, OSError, ValueError, KeyError):
        return False


def write_manifest(
    config: TrainConfig, folder: Path, mix: Path, licences: Mapping[str, Any] | None = None
) -> None:
    """Counts, reasons and digests of every stage, and the parts' licences; the last file the verb writes."""
    counts, reasons = {}, {}
    notes: dict[str, Any] = {"licences": dict(licences)} if licences else {}
    for stage in config.stages:
        made_by = json.loads((folder / stage.stage / "stage.json").read_bytes())
        noun = f"conversation_{stage.stage}"
        counts[noun] = Count(**made_by["conversations"])
        reasons[noun] = made_by["rejected_reasons"]
        notes[stage.stage] = {k: made_by[k] for k in ("steps", "skipped_steps", "threads", "device", "ranks")}
    manifest = Manifest(
        verb="train",
        version=__version__,
        code=store.code_digest(*CODE),
        section=config.model_dump(mode="json"),
        inputs={"mix": store.sha256_of(mix / "manifest.json")},
        counts=counts,
        rejected_reasons=reasons,
        notes=notes,
        files={f"{s.stage}/{DIGESTS}": store.sha256_of(folder / s.stage / DIGESTS) for s in config.stages},
    )
    store.write_json(folder / "manifest.json", manifest.model_dump(mode="json"))
