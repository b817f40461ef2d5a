"""Input that was made to break a reader: one verdict each, by the right name, and the run goes on."""

import os
import zipfile
from collections import Counter
from functools import partial

import numpy as np
import pytest
from dicom_maker import made
from hostile_maker import hostile

from p2med.errors import DataError, QuarantineError
from p2med.guard import Guard
from p2med.imaging.dicom import read_series
from p2med.imaging.source import read_bytes
from p2med.ingest.header import Instance, read_instance
from p2med.ingest.scan import scan

FILM = np.arange(64, dtype=np.uint16).reshape(8, 8)


def read_one(blob: bytes) -> tuple[int, ...]:
    return read_series([blob]).array.shape


def test_every_hostile_file_has_its_verdict_and_none_breaks_a_child():
    names, blobs, wanted = zip(*hostile(), strict=True)
    with Guard(read_one, 2) as guard:
        verdicts = dict(zip(names, guard.map(blobs), strict=True))
    found = {n: v.reason if isinstance(v, DataError) else "read" for n, v in verdicts.items()}
    assert len(found) == len(names) >= 38
    assert {n: f for n, f, w in zip(names, found.values(), wanted, strict=True) if w and f != w} == {}
    assert [n for n, v in verdicts.items() if isinstance(v, QuarantineError)] == []


def named(number: int) -> bytes:
    return made(FILM, SOPInstanceUID=f"1.2.3.{number}", PatientID="P1")


def test_a_hostile_folder_has_one_verdict_for_each_entry(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.dcm").write_bytes(named(99))
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "good.dcm").write_bytes(named(1))
    (tree / "a" / "copy.dcm").write_bytes(named(1))
    (tree / "link.dcm").symlink_to(outside / "secret.dcm")
    (tree / "folder").symlink_to(outside)
    (tree / "loop").symlink_to(tree)
    (tree / "broken").symlink_to(tree / "nothing")
    os.mkfifo(tree / "pipe.dcm")
    (tree / "empty").write_bytes(b"")
    with open(os.fsencode(str(tree)) + b"/\xd5\xc5.dcm", "wb") as file:
        file.write(named(2))
    found = scan(str(tree), tmp_path)
    verdicts = Counter("accepted" if isinstance(f, Instance) else f.reason for f in found)
    assert verdicts == {
        "accepted": 1,
        "duplicate_instance": 1,
        "link_not_followed": 4,
        "file_unreadable": 1,
        "not_dicom": 1,
        "unsafe_name": 1,
    }
    assert all(f.id.encode() for f in found if not isinstance(f, Instance))


def test_a_hostile_archive_has_one_verdict_for_each_member(tmp_path):
    path = tmp_path / "set.zip"
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/good.dcm", named(1))
        for name in ("../../evil.dcm", "/etc/evil.dcm", "C:\\evil.dcm", "a/../../evil.dcm"):
            archive.writestr(name, named(2))
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb.dcm", bytes(64 * 1024**2))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/good.dcm", named(3))
    found = scan(str(path), tmp_path)
    verdicts = Counter("accepted" if isinstance(f, Instance) else f.reason for f in found)
    assert verdicts == {
        "accepted": 1,
        "unsafe_name": 4,
        "link_not_followed": 1,
        "decompression_bomb": 1,
        "duplicate_member": 1,
    }
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["set.zip"]


def test_a_reader_that_breaks_is_a_verdict_of_one_file(tmp_path, monkeypatch):
    for number in range(6):
        (tmp_path / f"{number}.dcm").write_bytes(named(number))
    breaks = partial(_breaks_on, "3.dcm")
    monkeypatch.setattr("p2med.ingest.scan._read", lambda by_folder, job: None)
    monkeypatch.setattr("p2med.ingest.scan.partial", lambda *_: breaks)
    found = scan(str(tmp_path), tmp_path)
    assert [isinstance(f, Instance) for f in found] == [n != 3 for n in range(6)]
    assert found[3].reason == "quarantined_reader_died" and found[3].id == "3.dcm"


def _breaks_on(name, job):
    if job[2] == name:
        os.abort()
    return read_instance(job[0], job[1])


def test_an_archive_that_lies_about_a_size_gives_no_more_than_it_claims(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.dcm", bytes(32 * 1024**2))
    blob = bytearray(path.read_bytes())
    at = blob.index(b"PK\x01\x02") + 24
    blob[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(blob)
    with pytest.raises(DataError, match="archive_unreadable|decompression_bomb"):
        read_bytes(f"{path}!x.dcm")
