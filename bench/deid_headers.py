"""Planted header values through the allow-list at full size: leaks, second run, another key, validity.

    python bench/deid_headers.py            # P2MED_DATA names the shared data

Prints the table of deid_headers.md.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "deid"))
import planted_headers as planted

from p2med.deid.dicom_out import clean_stranger
from p2med.deid.pseudonym import Pseudonyms
from p2med.errors import DataError
from p2med.files import data_folder
from p2med.imaging.dicom import read_series

KEYS = (Pseudonyms(b"first key".ljust(32)), Pseudonyms(b"second key".ljust(32)))
ARCHIVES = (
    "chest_ct_covid_ct_md/slices.zip",
    "chest_ct_lung_pet_ct_dx/series_and_boxes.zip",
    "chest_ct_covid19_ny_sbu_pairs/slices.zip",
    "cxr_dicom_rsna/dicom.zip",
    "dicom_zoo/files.zip",
)


def leaks() -> None:
    """Every row of table E.1-1 at four depths, in every class, charset and encoding."""
    places = left = files = changed = same_offset = 0
    start = time.perf_counter()
    for modality in planted.CLASSES:
        for charset in planted.CHARSETS:
            for implicit in (False, True):
                for nest in (0, 1):
                    files += 1
                    file = planted.planted_file(charset, modality, 50_000 * files, implicit, nest)
                    places += file.places
                    outs = [clean_stranger(file.content, k, 365) for k in (*KEYS, KEYS[0])]
                    named = [f"{o.patient_key}{o.series_uid}{o.instance_uid}".encode() for o in outs]
                    left += sum(len(file.left_in(o.content + n)) for o, n in zip(outs, named, strict=True))
                    changed += outs[0] != outs[2]
                    same_offset += outs[0].content == outs[1].content
    seconds = time.perf_counter() - start
    print(f"{files} files, {places} places with a planted value, {seconds:.0f} s")
    print(f"values left, three runs with two keys: {left}")
    print(f"files that a second run changed: {changed}; files equal under two keys: {same_offset}")


def validity() -> None:
    """Real files: errors that dciodvfy finds after and not before, and whether the pixels are the same."""
    if shutil.which("dciodvfy") is None:
        print("dciodvfy is not installed: validity not measured")
    written = new = different = 0
    for archive in ARCHIVES:
        mine = 0
        for blob in _members(data_folder() / archive):
            try:
                out = clean_stranger(blob, KEYS[0], 365, "keep").content
            except DataError:
                continue
            mine += 1
            if shutil.which("dciodvfy") and mine <= 60:
                added = _errors(out) - _errors(blob)
                new += bool(added)
                for line in added:
                    print("  new:", archive, line)
            different += not _same_pixels(blob, out)
        written += mine
        print(f"{archive}: {mine} written")
    print(f"{written} files written; with a new error: {new}; with other values or spacing: {different}")


def _members(archive: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            if not name.endswith(("/", ".xml", ".csv")):
                yield opened.read(name)


def _same_pixels(before: bytes, after: bytes) -> bool:
    try:
        old = read_series([before])
    except DataError:
        return True  # nothing to compare with
    try:
        new = read_series([after])
    except DataError:
        return False
    spacing = (old.spacing_mm or (0, 0, 0), new.spacing_mm or (0, 0, 0))
    return np.array_equal(old.array, new.array) and np.allclose(*spacing, atol=1e-6)


def _errors(blob: bytes) -> set[str]:
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(blob)
        file.flush()
        done = subprocess.run(["dciodvfy", file.name], capture_output=True, text=True, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    return {re.sub(r" = .*", "", line) for line in lines if line.startswith("Error")}


if __name__ == "__main__":
    leaks()
    validity()
