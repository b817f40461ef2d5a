"""The commands as a user meets them: a fault is one line (what, where, what to do) and exit code 2."""

import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from p2med import cli

REPOSITORY = Path(__file__).parents[1]
SMALL = [
    "synth.patients=8",
    "synth.xray_pixels=96",
    "synth.ct_pixels=64",
    "synth.ct_slices=5",
    "synth.workers=1",
    "deid.workers=1",
    "curate.workers=1",
]


def p2med(*words: str | Path, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "p2med.cli", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def demo(runs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    overrides = [w for s in SMALL for w in ("--set", s)]
    return p2med("run", "recipes/demo.yaml", "--runs", runs, *overrides, *words)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo up to ingest."""
    runs = tmp_path_factory.mktemp("cli")
    done = demo(runs, "--to", "ingest")
    assert done.returncode == 0, done.stderr
    return runs


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert last.startswith("p2med: ") and "Traceback" not in done.stderr
    for word in words:
        assert word in last, last


def test_a_recipe_that_is_not_there():
    refused(p2med("check", "nowhere.yaml"), "there is no recipe", "nowhere.yaml")


@pytest.mark.parametrize(
    "override, words",
    [
        ("curate.dedup.ngrm=3", ("curate.dedup.ngrm", "unknown key", "ngram")),
        ("curate.image.size=3", ("curate.image.size",)),
        ("curate", ("key=value",)),
        ("nothing.at.all=1", ("nothing", "unknown key")),
        ("deid.key_file=null", ("key_file",)),
    ],
)
def test_a_wrong_override_is_named(override, words):
    refused(p2med("check", "recipes/demo.yaml", "--set", override), *words)


def test_check_prints_the_whole_recipe():
    done = p2med("check", "recipes/demo.yaml")
    assert done.returncode == 0 and '"min_jaccard": 0.85' in done.stdout


def test_names_and_an_unknown_kind():
    assert "xray_report" in p2med("names", "tasks").stdout.split()
    refused(p2med("names", "taks"), "tasks", "sources")


def test_a_verb_before_its_time_says_what_to_run_first(tmp_path):
    refused(p2med("mix", "recipes/demo.yaml", "--runs", tmp_path), "curate", "run")


def test_a_missing_folder_and_a_missing_column(runs):
    only = ("--from", "ingest", "--to", "ingest", "--set")
    refused(demo(runs, *only, "ingest.sources.0.dicom_dir=/nowhere/pacs"), "/nowhere/pacs")
    columns = "{检查号: accession_number, 病案号: patient_id, 报告时间: authored_on}"
    heading = f"ingest.sources.0.tables.2.columns={columns}"
    refused(demo(runs, *only, heading), "影像报告.csv", "报告时间")


def test_a_missing_key_says_how_to_make_one(runs):
    demo(runs, "--to", "ingest")
    again = demo(runs, "--to", "ingest")
    assert again.returncode == 0 and "up to date" in again.stderr
    words = demo(runs, "--from", "deid", "--to", "deid", "--set", "deid.key_file=/nowhere/deid.key")
    refused(words, "/nowhere/deid.key", "p2med key")


def test_show_counts_and_an_item(runs):
    shown = p2med("show", runs / "demo" / "1_ingest")
    assert shown.returncode == 0 and "dicom_file" in shown.stdout
    refused(p2med("show", runs / "demo" / "9_nothing"), "manifest")


def test_a_full_disk_is_one_line_and_the_same_command_continues(runs, tmp_path):
    """A file size limit stands for the full disk: the kernel refuses the write either way."""
    limited = (
        f"ulimit -f 8; exec {sys.executable} -m p2med.cli synth {tmp_path / 'h'} --patients 2 --set workers=1"
    )
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {limited}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    refused(done)
    assert not list((tmp_path / "h").rglob("*.dcm.writing"))
    done = p2med("synth", tmp_path / "h", "--patients", "2", "--set", "workers=1")
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_that_is_none(runs, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    done = p2med(
        "answer", tmp_path, "--task", "xray_report", "--in", tmp_path / "a.png", "--out", tmp_path / "o"
    )
    refused(done, "checkpoint")


def test_torchrun_starts_training_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused(demo(tmp_path), "torchrun starts `p2med train` alone")


def test_a_killed_worker_is_one_line(monkeypatch, capsys):
    def broken():
        raise BrokenProcessPool("A process in the process pool was terminated abruptly")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("own", "threads"), [(None, 1), ("2", 2)])
def test_numpys_products_take_one_thread_unless_the_user_says_otherwise(own, threads):
    code = """import p2med.cli, numpy, pathlib
numpy.ones((999, 999)) @ numpy.ones((999, 999))
names = [p.read_text() for p in pathlib.Path("/proc/self/task").glob("*/comm")]
print(sum("jemalloc" not in n for n in names))"""  # Arrow's memory has a thread, too
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    environment |= {"OPENBLAS_NUM_THREADS": own} if own else {}
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: NumPy has one thread anyway")
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True)
    assert int(done.stdout) == threads, done.stderr
