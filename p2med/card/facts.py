"""What a model card is written from: manifests and checkpoint of a run, checked against each other."""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2med.card.ledger import Part, ledger
from p2med.errors import P2MedError
from p2med.schema.rating import Result
from p2med.store import VERBS, Manifest, read_manifest, sha256_of, verb_folder

DIGESTS = "digests.json"
CERTIFICATE = "certificate/certificate.json"
GATE = "gate.json"
SCALES, PACKED = "_scale", "U8"
"""An exported folder's scales, and the type that holds two weights (model/exported.py)."""
LAST = 20
"""Steps whose mean is called the loss at the beginning and at the end."""
Facts = dict[str, Any]


def gather(path: Path) -> Facts:
    """Everything the card says of a run folder or of one checkpoint.

    Raises:
      P2MedError: there is no trained checkpoint, or a file is not the one that its manifest names.
    """
    root, checkpoint = _places(path)
    check_files(checkpoint)
    manifests = _manifests(root) if root else {}
    if root:
        _check_chain(root, manifests)
    train = manifests.get("train")
    order = [s["stage"] for s in train.section["stages"]] if train else [checkpoint.name]
    done = order[: order.index(checkpoint.name)] if checkpoint.name in order else []
    folders = [*(checkpoint.parent / name for name in done), checkpoint]
    digest = sha256_of(checkpoint / DIGESTS)
    made_by = json.loads((checkpoint / "stage.json").read_bytes())
    licences = (train.notes.get("licences") if train else None) or made_by.get("licences") or {}
    return {
        "name": root.resolve().name if root else checkpoint.resolve().name,
        "checkpoint": {
            "name": checkpoint.name,
            "digests_sha256": digest,
            "parameters": _parameters(checkpoint),
        },
        "shape": _shape(json.loads((checkpoint / "config.json").read_bytes())),
        "image": json.loads((checkpoint / "image_spec.json").read_bytes()),
        "stages": [_stage(f) for f in folders],
        "data": {verb: _counts(root, verb, m) for verb, m in manifests.items() if root and verb != "bench"},
        "licences": _parts(licences, manifests, made_by, root),
        "use": licences.get("use", ["research"]),
        "certificate": _certificate(root) if root else None,
        "scores": _scores(root, manifests.get("bench"), digest) if root else None,
        "gate": _gate(root, digest) if root else None,
    }


def _places(path: Path) -> tuple[Path | None, Path]:
    """The run folder, if there is one, and the checkpoint."""
    if (path / "config.json").exists():
        inside = path.resolve().parent.name == verb_folder(Path(), "train").name
        return (path.resolve().parents[1] if inside else None), path.resolve()
    folder = verb_folder(path, "train")
    manifest = read_manifest(folder)
    if manifest is None:
        raise P2MedError(f"{path} has no finished training; name a run folder or a checkpoint")
    return path, folder / manifest.section["stages"][-1]["stage"]


# ---------------------------------------------------------------- nothing was changed


def check_files(checkpoint: Path) -> None:
    """Compare every file of a checkpoint with its digest.

    Raises:
      P2MedError: a file is missing or changed.
    """
    try:
        digests = json.loads((checkpoint / DIGESTS).read_bytes())
    except (OSError, ValueError):
        raise P2MedError(f"{checkpoint} has no readable {DIGESTS}: it is no finished checkpoint") from None
    for name, digest in digests.items():
        path = checkpoint / name
        if not path.is_file() or sha256_of(path) != digest:
            raise P2MedError(
                f"{path} is not the file that training wrote (sha256 differs); no card is made of it"
            )


def _manifests(root: Path) -> dict[str, Manifest]:
    found = {verb: read_manifest(verb_folder(root, verb)) for verb in VERBS[:-1]}
    return {verb: m for verb, m in found.items() if m is not None}


def _check_chain(root: Path, manifests: Mapping[str, Manifest]) -> None:
    """Every verb has read the manifest that lies there; results and checkpoints are those it wrote."""
    for verb, manifest in manifests.items():
        stale = _stale(root, manifest)
        if stale and verb != "bench":  # scores of another state are left out, see _scores
            raise P2MedError(f"{stale} is not the one that {verb} has read; run {verb} again")
        folder = verb_folder(root, verb)
        for name in [n for n in manifest.files if n.endswith((DIGESTS, "results.json"))]:
            path = folder / name
            if not path.exists() or sha256_of(path) != manifest.files[name]:
                what = f"{path} is not the file that {verb} wrote"
                raise P2MedError(f"{what} (sha256 differs); run {verb} again")


def _stale(root: Path, manifest: Manifest) -> Path | None:
    """A manifest that is not the one this verb has read."""
    for source, digest in manifest.inputs.items():
        path = verb_folder(root, source) / "manifest.json"
        if not path.exists() or sha256_of(path) != digest:
            return path
    return None


# ---------------------------------------------------------------- the model


def _parameters(checkpoint: Path) -> dict[str, int]:
    """Numbers by part, from the headers of the weight files; in an exported folder a byte may hold two."""
    counts: dict[str, int] = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        for name, tensor in header.items():
            if name != "__metadata__" and not name.endswith(SCALES):
                part = "adapter" if ".lora_" in name else name.partition(".")[0]
                each = 2 if tensor["dtype"] == PACKED else 1
                counts[part] = counts.get(part, 0) + each * math.prod(tensor["shape"])
    return dict(sorted(counts.items()))


def _shape(config: Mapping[str, Any]) -> Facts:
    """The parts' kinds and sizes, as config.json has them."""
    llm = config["text_config"]
    names = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    parts = {part: config.get(part) for part in ("encoder", "connector", "adapter")}
    return {"llm": {n: llm.get(n) for n in (*names, "max_position_embeddings")}, **parts}


def _stage(folder: Path) -> Facts:
    made_by = json.loads((folder / "stage.json").read_bytes())
    losses = folder / "losses.jsonl"
    lines = [json.loads(x) for x in losses.read_text().splitlines()] if losses.exists() else []
    finite = [x["loss"] for x in lines if x["loss"] is not None]
    drawn: dict[str, int] = {}
    for x in lines:
        if "samples" in x:
            drawn[x["task"]] = drawn.get(x["task"], 0) + x["samples"]
    kept = ("steps", "skipped_steps", "restored", "conversations", "device", "ranks", "threads")
    return {
        "stage": made_by["stage"],
        "settings": made_by.get("identity", {}).get("stage"),
        "digests_sha256": sha256_of(folder / DIGESTS),
        **{k: made_by.get(k) for k in kept},
        "tokens": sum(x.get("tokens", 0) for x in lines) or None,
        "drawn": dict(sorted(drawn.items())),
        "loss_begin": _mean(finite[:LAST]),
        "loss_end": _mean(finite[-LAST:]),
    }


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _parts(
    licences: Mapping[str, Any], manifests: Mapping[str, Manifest], made_by: Facts, root: Path | None
) -> list[Part]:
    """The ledger that training kept; for a run without one, what its own manifests tell."""
    if licences:
        return [Part.model_validate(p) for p in licences["parts"]]
    model = made_by.get("identity", {}).get("model")
    if root is None or model is None:
        return [Part(part="all", title="where its weights and data come from was not recorded", licences=())]
    sources = manifests["ingest"].section["sources"] if "ingest" in manifests else []
    return ledger(model, sources, (), root)


# ---------------------------------------------------------------- the data and what was measured


def _counts(root: Path, verb: str, manifest: Manifest) -> Facts:
    notes = manifest.notes
    splits = {"patients": notes["patients"], "visits": notes["cases"]} if "patients" in notes else None
    return {
        "manifest_sha256": sha256_of(verb_folder(root, verb) / "manifest.json"),
        "counts": {noun: c.model_dump() for noun, c in manifest.counts.items()},
        "rejected_reasons": manifest.rejected_reasons,
        "splits": splits,
    }


def _certificate(root: Path) -> Facts | None:
    """The certificate of de-identification; `of_this_run` is false when the run has changed since."""
    path = root / CERTIFICATE
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    manifests = {v: sha256_of(verb_folder(root, v) / "manifest.json") for v in ("ingest", "deid")}
    return {
        "id": sha256_of(path)[:16],
        "planted": found["planted"],
        "leaked": found["leaked"],
        "key_id": found["key_id"],
        "of_this_run": all(found["manifests"].get(v) == d for v, d in manifests.items()),
    }


def _scores(root: Path, bench: Manifest | None, digest: str) -> list[Facts] | None:
    """The benchmark's table, when it is about this checkpoint, alone and reading once."""
    asked = bench.section.get("config", {}) if bench else {}
    if asked.get("members") or asked.get("readings", 1) > 1:
        return None
    if bench is None or bench.section.get("checkpoint_digest") != digest or _stale(root, bench):
        return None
    rows = json.loads((verb_folder(root, "bench") / "results.json").read_bytes())
    return [Result.model_validate(r).model_dump(mode="json") for r in rows]


def _gate(root: Path, digest: str) -> Facts | None:
    """The image-dependence gate, when it was about this checkpoint."""
    try:
        found = json.loads((root / GATE).read_bytes())
    except FileNotFoundError:
        return None
    return found if isinstance(found, dict) and found.get("checkpoint_digest") == digest else None
