"""What reading in a warm child costs, against reading in the same process; results in dicom_throughput.md.

python bench/dicom_throughput.py --rounds 7
"""

import argparse
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "imaging"))
import numpy as np
from truth_maker import phantom, series

from p2med.errors import DataError
from p2med.files import data_folder
from p2med.guard import Guard
from p2med.imaging.dicom import read_series
from p2med.imaging.source import weight
from p2med.ingest.header import read_instance

SETS = (
    "chest_ct_covid_ct_md/slices.zip",
    "cxr_dicom_rsna/dicom.zip",
    "chest_ct_covid19_ny_sbu_pairs/slices.zip",
)


def read_header(path: str) -> object:
    return read_instance(path, path, uids_by_folder=True)


def read_pixels(path: str) -> object:
    return read_series([path])


def real_files(folder: Path) -> list[str]:
    """The real slices and films that can be read, as plain files."""
    for name in SETS:
        with zipfile.ZipFile(data_folder() / name) as archive:
            for member in archive.namelist():
                if member.endswith(".dcm"):
                    path = folder / name.replace("/", "_") / member
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(member))
    return sorted(str(p) for p in folder.rglob("*.dcm"))


def small_files(folder: Path) -> list[str]:
    """Tiny slices: the worst case, for there is little to read."""
    truth = phantom(np.random.default_rng(0), 500)
    for n, blob in enumerate(series(truth)):
        (folder / f"{n}.dcm").write_bytes(blob)
    return sorted(str(p) for p in folder.glob("*.dcm"))


def alone(work: Callable[[str], Any], files: list[str]) -> None:
    for file in files:
        try:
            work(file)
        except DataError:
            pass


def guarded(guard: Guard[str, Any], files: list[str]) -> None:
    for _ in guard.map(files):
        pass


def timed(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def compare(name: str, work: Callable[[str], Any], files: list[str], rounds: int) -> None:
    """Rounds take turns, so that a busy machine slows both; the fastest of each is compared."""
    with Guard(work, 1, weight=lambda f: weight([f])) as guard:
        start = timed(partial(guarded, guard, files[:1]))
        times = [
            (timed(partial(alone, work, files)), timed(partial(guarded, guard, files))) for _ in range(rounds)
        ]
    own, child = (min(t) for t in zip(*times, strict=True))
    alone_ms, child_ms = own * 1e3 / len(files), child * 1e3 / len(files)
    print(f"{name:14} {len(files):5} files {alone_ms:7.2f} ms alone {child_ms:7.2f} ms in a child", end="  ")
    print(f"ratio {child / own:.2f}  first answer after {start:.2f} s")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as where:
        (Path(where) / "real").mkdir()
        (Path(where) / "small").mkdir()
        real, small = real_files(Path(where) / "real"), small_files(Path(where) / "small")
        for name, files in (("real", real), ("small", small)):
            compare(f"{name}, headers", read_header, files * (4 if name == "real" else 1), rounds)
            compare(f"{name}, pixels", read_pixels, files, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    main(parser.parse_args().rounds)
