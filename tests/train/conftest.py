from pathlib import Path

import pytest
from tiny_training import write_mix

from p2med import store
from p2med.schema.conversation import Conversation


@pytest.fixture()
def mixed(tmp_path: Path) -> tuple[Path, list[Conversation]]:
    """A run folder with a finished mix, and its conversations."""
    return tmp_path, write_mix(tmp_path, ("base", "stage1"), count=36)


@pytest.fixture(scope="session", autouse=True)
def code_that_stands_still():
    """Source files that someone edits while the tests run must not make two trainings differ."""
    digest = store.code_digest("train", "model", "schema", "store.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "code_digest", lambda *parts: digest)
        yield
