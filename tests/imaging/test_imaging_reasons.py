"""Every reason for which an image is refused is explained to the user, and none is that no longer exists."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CODE = [
    *sorted((REPOSITORY / "p2med" / "imaging").glob("*.py")),
    *(REPOSITORY / "p2med" / "ingest" / f"{n}.py" for n in ("scan", "files")),
]
GUARD = {f"quarantined_{r}" for r in "reader_died reader_failed memory_limit cpu_limit time_limit".split()}
OTHERS = {"chosen_because", "uid_missing"}


def test_the_page_names_every_reason():
    code = "".join(p.read_text() for p in CODE if p.name != "select.py")
    raised = set(re.findall(r'DataError\(\s*"([a-z_]+)"', code))
    raised |= set(re.findall(r'reason="([a-z_]+)"', code)) | {"link_not_followed", "unsafe_name"}
    raised |= {"folder_unreadable", "duplicate_member"}
    page = (REPOSITORY / "docs" / "images.md").read_text()
    named = set(re.findall(r"`([a-z_]+)`", page))
    assert raised - named == set()
    assert named - raised - OTHERS == GUARD
