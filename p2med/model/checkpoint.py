"""A checkpoint folder: complete in itself, written whole or not at all, refused when anything is off.

config.json  model.safetensors  tokenizer.model  tokenizer.json …  processor_config.json
image_spec.json   how pixels are prepared          stage.json   which training made it
digests.json      sha256 of every file, written last
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from p2med.errors import ModelError, RecipeError
from p2med.imaging.spec import ImageSpec
from p2med.model.build import P2MedForConditionalGeneration
from p2med.model.outside import EXPORT, OF_THE_ENGINE, Outside
from p2med.model.processor import P2MedProcessor
from p2med.model.shape import P2MedConfig
from p2med.model.tokenizer import open_tokenizer
from p2med.model.weights import ANY_ROTARY, TensorFiles, fill, fill_buffers, write_shards

DIGESTS = "digests.json"
STAGES = "stages.json"


@dataclass(frozen=True)
class Checkpoint:
    folder: Path
    model: P2MedForConditionalGeneration
    processor: P2MedProcessor
    tokenizer_model: bytes
    image_spec: ImageSpec
    stage: dict[str, Any]


def save_checkpoint(
    folder: Path,
    model: P2MedForConditionalGeneration,
    tokenizer_model: bytes,
    processor: P2MedProcessor,
    image_spec: ImageSpec,
    stage: Mapping[str, Any],
    extra: Mapping[str, bytes] | None = None,
) -> None:
    """Write a checkpoint under a temporary name, then put it in the place of an older one.

    Where the weights are spread over processes, the others call `gather_weights` meanwhile.

    Args:
      stage: what made it; JSON, no times, no absolute paths.
      extra: further files by name.
    """
    temporary = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(temporary)
    processor.save_pretrained(temporary)
    write_shards(weights_of(model), temporary)
    (temporary / "tokenizer.model").write_bytes(tokenizer_model)
    (temporary / "image_spec.json").write_text(_json(image_spec.model_dump(mode="json")), encoding="utf-8")
    (temporary / "stage.json").write_text(_json(stage), encoding="utf-8")
    for name, content in (extra or {}).items():
        (temporary / name).write_bytes(content)
    seal(temporary)
    replace_folder(temporary, folder)


def gather_weights(model: torch.nn.Module) -> None:
    """Take part in another process's `save_checkpoint`."""
    write_shards(weights_of(model), None)


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """Every tensor once: an output layer tied to the embeddings is left out."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor.detach()
    return found


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint strictly.

    Raises:
      ModelError: a file is missing or changed, or a tensor is missing, unknown or of another shape.
    """
    check_seal(folder)
    try:
        config = P2MedConfig.from_pretrained(folder)
        image_spec = ImageSpec.model_validate_json((folder / "image_spec.json").read_bytes())
        stage = json.loads((folder / "stage.json").read_bytes())
        tokenizer_model = (folder / "tokenizer.model").read_bytes()
        processor_config = json.loads((folder / "processor_config.json").read_bytes())
        with torch.device("meta"):
            model = P2MedForConditionalGeneration(config)
    except FileNotFoundError as error:
        raise ModelError(f"{folder} lacks {Path(error.filename or '?').name}; train it again") from None
    except (ValueError, KeyError, OSError, ValidationError, RecipeError) as error:
        words = str(error).splitlines()[0]
        raise ModelError(f"{folder} is no checkpoint of this version: {words}") from None
    files = TensorFiles(folder)
    if (folder / EXPORT).exists():
        model.language_model = Outside(model.language_model)
    left_out = OF_THE_ENGINE if (folder / EXPORT).exists() else ANY_ROTARY
    fill(model, files, files.shapes, folder, dtype=None, left_out=left_out)
    fill_buffers(model)
    processor = P2MedProcessor(
        open_tokenizer(tokenizer_model),
        connector=processor_config.get("connector"),
        patches=processor_config.get("patches", 0),
    )
    return Checkpoint(folder, model, processor, tokenizer_model, image_spec, stage)


def resolve_checkpoint(path: Path) -> Path:
    """`5_train/<stage>` itself, or the last finished stage of `5_train`.

    Raises:
      ModelError: there is no finished checkpoint.
    """
    if (path / "config.json").exists():
        return path
    try:
        order = json.loads((path / STAGES).read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path} is no checkpoint: it has neither config.json nor {STAGES}") from None
    done = [path / name for name in order if (path / name / DIGESTS).exists()]
    if not done:
        raise ModelError(f"{path} has no finished stage yet; run `p2med train` to its end")
    return done[-1]


# ---------------------------------------------------------------- folders that appear whole


def seal(folder: Path) -> None:
    """Sync every file and write their digests last."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != DIGESTS)
    digests = {str(p.relative_to(folder)): _digest(p) for p in files}
    for path in files:
        _sync(path)
    (folder / DIGESTS).write_text(_json(digests), encoding="utf-8")
    _sync(folder / DIGESTS)
    _sync(folder)


def check_seal(folder: Path) -> None:
    """Compare every file with its digest.

    Raises:
      ModelError: no digests, or a file that is missing or different.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such checkpoint folder")
    try:
        digests = json.loads((folder / DIGESTS).read_bytes())
    except (OSError, ValueError):
        raise ModelError(f"{folder} has no readable {DIGESTS}: it is no finished checkpoint") from None
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{folder} lacks {name}; train it again")
        if _digest(path) != digest:
            raise ModelError(f"{path} is not the file that training wrote (sha256 differs); train it again")


def replace_folder(new: Path, place: Path) -> None:
    """Rename `new` to `place`; an older folder there steps aside first and is removed after."""
    aside = place.with_name(f".{place.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if place.exists():
        os.replace(place, aside)
    os.replace(new, place)
    _sync(place.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
