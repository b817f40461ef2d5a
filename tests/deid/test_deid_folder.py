"""`p2med deid folder`: every file one verdict, the same bytes each time, nothing of the originals in OUT."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import planted_headers as planted
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont

from p2med import cli
from p2med.deid.folder import clean_folder
from p2med.deid.folder_file import Settings
from p2med.errors import P2MedError

KEY = b"k" * 32
NAME = "沈诗梓"


def dicom(number: int, modality: str = "CR", text: str = "", series: int = 1, **values) -> bytes:
    """A smooth picture of 256 x 256, with words when there are any."""
    ds = planted.base(modality, number)
    ds.SpecificCharacterSet, ds.PatientName, ds.PatientID = "ISO_IR 192", f"Shen={NAME}", "ZY 0001"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (
        "1.2.3",
        f"1.2.4.{series}",
        f"1.2.5.{number}",
    )
    ds.StudyDate, ds.InstanceNumber, ds.Rows, ds.Columns = "20220914", number, 256, 256
    shade = np.add.outer(np.arange(256), np.arange(256)) * 3 + 400
    picture = Image.fromarray(shade.astype(np.int32), mode="I")
    if text:
        ImageDraw.Draw(picture).text((20, 50), text, fill=4000, font=ImageFont.load_default(size=16))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.add_new(0x7FE00010, "OW", np.asarray(picture).astype("<u2").tobytes())
    return planted.encoded(ds, planted.Planter("utf8", number))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films and slices in odd places, and things that are none."""
    source = tmp_path_factory.mktemp("hospital") / "in"
    files = {
        f"{NAME}/IM0001": dicom(1),
        f"{NAME}/copy of IM0001": dicom(1),
        "zy0001 film.dcm": dicom(2, "DX"),
        "conflict.dcm": dicom(2, "DX", KVP="90"),
        "DICOM/CT/1": dicom(11, "CT", series=2),
        "DICOM/CT/2": dicom(12, "CT", series=2),
        "DICOM/screen": dicom(21, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"),
        "DICOM/burned": dicom(22, BurnedInAnnotation="YES"),
        "notes.txt": f"{NAME} 13871896132".encode(),
        "empty": b"",
        "cut.dcm": dicom(31)[:2000],
    }
    for path, content in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    (source / "link").symlink_to("/etc")
    os.mkfifo(source / "pipe")
    return source


@pytest.fixture(scope="module")
def out(tree: Path) -> Path:
    clean_folder(tree, tree.parent / "out", KEY, Settings(), workers=1)
    return tree.parent / "out"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file; without the digest of the code, which may be edited while a test runs."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {k: re.sub(rb'"code": "\w+"', b"", v) if k == "report.json" else v for k, v in found.items()}


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command as the shell would: exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["p2med", "deid", "folder", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_every_file_has_one_verdict(out, tree):
    said = report(out)
    assert said["counts"] == {"accepted": 4, "rejected": 7, "quarantined": 2}
    assert len(said["files"]) == 13 == len({f["file"] for f in said["files"]})
    assert said["reasons"]["quarantined"] == {"burned_in_annotation": 1, "instance_uid_conflict": 1}
    rejected = {"duplicate_instance", "burned_in_secondary_capture", "not_dicom", "not_a_regular_file"}
    assert rejected < set(said["reasons"]["rejected"])
    accepted = [f for f in said["files"] if f["verdict"] == "accepted"]
    assert {f["output"] for f in accepted} == set(contents(out)) - {"report.json"}
    assert len({f["output"].split("/")[0] for f in accepted}) == 1  # one child, one pseudonym


def test_no_byte_or_name_of_the_originals_is_in_the_output(out, tree):
    written = b"\n".join(k.encode() + v for k, v in contents(out).items())
    for value in (NAME, "Shen", "ZY 0001", "ZY0001", "20220914", "13871896132", "1.2.5.1", "IM0001", "notes"):
        for codec in ("utf-8", "gb18030", "utf-16-le"):
            assert value.encode(codec) not in written, value
    originals = b"".join(contents(tree / "DICOM").values())
    assert b"20220914" in originals and NAME.encode() in originals


def test_a_second_run_and_any_number_of_processes_give_the_same_bytes(out, tree, tmp_path):
    clean_folder(tree, tmp_path / "again", KEY, Settings(), workers=2)
    assert contents(tmp_path / "again") == contents(out)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "again").rglob("*")}
    clean_folder(tree, tmp_path / "again", KEY, Settings())
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "again").rglob("*")} == before
    clean_folder(tree, tmp_path / "other", b"x" * 32, Settings(), workers=1)
    assert not set(contents(out)) & set(contents(tmp_path / "other")) - {"report.json"}


def files_in(folder: Path) -> int:
    """While another process renames them."""
    return sum(len(names) for _, _, names in os.walk(folder))


def test_a_kill_at_any_moment_changes_nothing(out, tree, tmp_path):
    again = tmp_path / "out"
    code = (
        "from pathlib import Path; from p2med.deid import folder; "
        "from p2med.deid.folder_file import Settings; "
        f"folder.CHUNK = 2; folder.clean_folder(Path({str(tree)!r}), Path({str(again)!r}), "
        "b'k' * 32, Settings(), 1)"
    )
    for files in (1, 5, 9):
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        work = tmp_path / "out.unfinished"
        while process.poll() is None and files_in(work) < files:
            time.sleep(0.002)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not again.exists() or contents(again) == contents(out)
    subprocess.run([sys.executable, "-c", code], check=True)
    assert contents(again) == contents(out) and not (tmp_path / "out.unfinished").exists()


def test_text_on_one_slice_keeps_the_whole_series_back(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for n in range(4):
        (source / f"{n}").write_bytes(dicom(n, "CT", text="SHEN SHIZI" if n == 2 else "", series=1))
    (source / "other").write_bytes(dicom(9, "CT", series=2))
    clean_folder(source, tmp_path / "out", KEY, Settings(), workers=1)
    said = report(tmp_path / "out")
    assert said["reasons"]["quarantined"] == {"burned_in_text": 1, "burned_in_text_in_series": 3}
    assert len(contents(tmp_path / "out")) == 2


def test_bad_input_is_one_line_and_exit_2(command, tree, tmp_path):
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    cases = {
        "no folder": (tmp_path / "none", tmp_path / "o", "--key", key),
        "lie in each other": (tree, tree / "o", "--key", key),
        "p2med key": (tree, tmp_path / "o", "--key", tmp_path / "nokey"),
        "other files": (tree, tmp_path / "full", "--key", key),
        "must not lie in": (tree, tmp_path, "--key", key),
        "no file": (tmp_path / "void", tmp_path / "o", "--key", key),
    }
    (tmp_path / "void").mkdir()
    for words, arguments in cases.items():
        code, _, err = command(*arguments)
        assert code == 2 and len(err.splitlines()) == 1 and words in err, err
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_the_command_prints_counts_and_writes_the_list_of_paths_for_its_owner_alone(
    command, tree, out, tmp_path
):
    (tmp_path / "key").write_text(KEY.hex())
    listing = tmp_path / "list.jsonl"
    code, said, err = command(
        tree, tmp_path / "o", "--key", tmp_path / "key", "--list", listing, "--workers", 1
    )
    assert code == 0 and said.split()[:4] == ["accepted", "4", "rejected", "7"]
    assert NAME not in said + err
    assert listing.stat().st_mode & 0o077 == 0
    lines = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
    assert {line["path"]: line["reason"] for line in lines}["notes.txt"] == "not_dicom"
    assert contents(tmp_path / "o") == contents(out)


def test_other_files_under_a_finished_name_are_refused(tree, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(tree / "DICOM", source)
    clean_folder(source, tmp_path / "out", KEY, Settings(), workers=1)
    (source / "new").write_bytes(dicom(40))
    with pytest.raises(P2MedError, match="other files"):
        clean_folder(source, tmp_path / "out", KEY, Settings())


def test_what_comes_out_is_dicom(out):
    for name, blob in contents(out).items():
        if name.endswith(".dcm"):
            assert pydicom.dcmread(BytesIO(blob)).pixel_array.shape == (256, 256)
