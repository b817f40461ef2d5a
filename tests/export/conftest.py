"""Checkpoints along the way from training to a CPU server, made once."""

from pathlib import Path

import pytest
from export_maker import write_lora

from p2med.export.write import export
from p2med.model.merge import merge


@pytest.fixture(scope="session")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lora(tmp_path_factory.mktemp("trained") / "stage3")


@pytest.fixture(scope="session")
def merged(lora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "stage3"
    merge(lora, folder)
    return folder


@pytest.fixture(scope="session")
def exported(lora: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("exported")
    for kind in ("bf16", "int8", "int4"):
        export(lora, root / kind, kind)
    return {kind: root / kind for kind in ("bf16", "int8", "int4")}
