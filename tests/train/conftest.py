from pathlib import Path

import pytest
from tiny_training import write_mix

from p2med.schema.conversation import Conversation


@pytest.fixture()
def mixed(tmp_path: Path) -> tuple[Path, list[Conversation]]:
    """A run folder with a finished mix, and its conversations."""
    return tmp_path, write_mix(tmp_path, ("base", "stage1"), count=36)
