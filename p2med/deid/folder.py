"""A folder of DICOM, any tree -> a folder of clean DICOM, and a report in which every file has one verdict.

IN/张三/2022-09-14/IM0001  ->  OUT/p5d1…/2.25.7…/i3f0c….dcm, and in OUT/report.json
{"file": "f09ab…", "verdict": "accepted", "output": "p5d1…/2.25.7…/i3f0c….dcm", "blots": 0, …}

It works in OUT.unfinished, which becomes OUT at the end; the same command continues there after a kill.
"""

import json
import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from p2med import files
from p2med.deid.burned_in_ocr import TIMES_SLOWER
from p2med.deid.folder_file import VERDICTS, Answer, Row, Settings, Verdict, clean_one, file_key, keyed_digest
from p2med.deid.pseudonym import Pseudonyms
from p2med.errors import DataError, P2MedError, QuarantineError
from p2med.guard import Guard
from p2med.imaging.source import read_bytes
from p2med.progress import track

CODE = ("deid", "imaging", "files.py", "guard.py", "guard_child.py")
CHUNK = 64
HEAVY_BYTES = 32 * 1024**2
WORK_SUFFIX = ".unfinished"


def clean_folder(source: Path, out: Path, key: bytes, settings: Settings, workers: int = 0) -> list[Row]:
    """Clean every file below `source`; returns a row for each, in the order of their paths.

    Raises:
      P2MedError: a folder is missing, in the way, or inside the other. OSError: a full disk and its like.
    """
    _refuse_bad_folders(source, out)
    names = Pseudonyms(key)
    paths = input_paths(source)
    if not paths:
        raise P2MedError(f"{source} holds no file")
    if (out / "report.json").exists():
        return _finished(source, out, paths, names, settings)
    work = out.with_name(out.name + WORK_SUFFIX)
    _begin(work, source, paths, names, settings)
    rows: list[Row] = []
    taken: dict[str, str] = {}
    job = partial(clean_one, source, key, settings)
    with Guard(job, workers, weight=partial(_weight, source, settings.ocr)) as guard:
        for start in track(range(0, len(paths), CHUNK), "deid folder (64 files each)"):
            part = work / "parts" / f"{start // CHUNK:06d}.json"
            if part.exists():
                done = [Row(**r) for r in json.loads(part.read_text(encoding="utf-8"))]
            else:
                chunk = paths[start : start + CHUNK]
                done = list(_write_chunk(guard, chunk, work, taken, names))
                files.write_json(part, [asdict(r) for r in done])
            taken.update({r.output: r.sha256 for r in done if r.output and r.sha256})
            rows += done
    _refuse_series_with_text(rows, work)
    _publish(rows, work, out, names, settings)
    return rows


# ---------------------------------------------------------------- all files


def input_paths(source: Path) -> list[str]:
    """Every file and every link below a folder, relative to it, in a fixed order; links are not followed."""
    found = []
    for folder, folders, names in os.walk(source, onerror=_raise):
        links = [f for f in folders if os.path.islink(os.path.join(folder, f))]
        found += [os.path.relpath(os.path.join(folder, n), source) for n in names + links]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _weight(source: Path, ocr: bool, path: str) -> int:
    times = TIMES_SLOWER if ocr else 1
    try:
        return times * (1 + os.lstat(source / path).st_size // HEAVY_BYTES)
    except OSError:
        return times


def _write_chunk(
    guard: Guard[str, Answer], paths: list[str], work: Path, taken: dict[str, str], names: Pseudonyms
) -> Iterator[Row]:
    for path, answer in zip(paths, guard.map(paths), strict=True):
        if isinstance(answer, DataError):
            verdict: Verdict = "quarantined" if isinstance(answer, QuarantineError) else "rejected"
            yield Row(file=file_key(names, path), verdict=verdict, reason=answer.reason)
            continue
        row = answer.row
        if row.output and row.sha256 and answer.content is not None:
            if row.output in taken:
                _refuse_second(row, taken[row.output])
            else:
                files.write_bytes(work / row.output, answer.content.tobytes())
                taken[row.output] = row.sha256
        yield row


def _refuse_second(row: Row, first: str) -> None:
    same = row.sha256 == first
    row.verdict = "rejected" if same else "quarantined"
    row.reason = "duplicate_instance" if same else "instance_uid_conflict"
    row.output = row.sha256 = None
    row.blots = 0


def _refuse_series_with_text(rows: list[Row], work: Path) -> None:
    """Text on one CT slice: its neighbours may hold the same, fainter."""
    marked = {r.series_uid for r in rows if r.modality == "CT" and (r.reason or "").startswith("burned_in")}
    for row in rows:
        if row.verdict == "accepted" and row.modality == "CT" and row.series_uid in marked:
            (work / str(row.output)).unlink(missing_ok=True)
            row.verdict, row.reason = "quarantined", "burned_in_text_in_series"
            row.output = row.sha256 = None


# ---------------------------------------------------------------- the folders


def _refuse_bad_folders(source: Path, out: Path) -> None:
    if not source.is_dir():
        raise P2MedError(f"there is no folder {source}")
    inside, outside = source.resolve(), out.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise P2MedError(f"{out} and {source} must not lie in each other: originals are never written")
    if out.exists() and not out.is_dir():
        raise P2MedError(f"{out} is a file; name a new folder")
    if out.exists() and any(out.iterdir()) and not (out / "report.json").exists():
        raise P2MedError(f"{out} holds other files; name a new folder")


def _begin(work: Path, source: Path, paths: list[str], names: Pseudonyms, settings: Settings) -> None:
    """Continue in the work folder if it was begun with the same files, key, settings and code."""
    states = [f"{p}\0{(s := os.lstat(source / p)).st_size}\0{s.st_mtime_ns}" for p in paths]
    listing = os.fsencode("\n".join(states)).hex()
    begun = {"fingerprint": names.digest("listing", listing + _terms(settings)).hex(), "code": _code()}
    if work.exists():
        try:
            if json.loads((work / "begun.json").read_text(encoding="utf-8")) == begun:
                return
        except (OSError, ValueError):
            pass
        shutil.rmtree(work)
    files.write_json(work / "begun.json", begun)


def _code() -> str:
    return files.code_digest(*CODE)


def _terms(settings: Settings) -> str:
    return json.dumps(asdict(settings), sort_keys=True)


def _fingerprint(digests: list[str], names: Pseudonyms, settings: Settings) -> str:
    return names.digest("run", "\n".join(digests) + _terms(settings)).hex()


def _publish(rows: list[Row], work: Path, out: Path, names: Pseudonyms, settings: Settings) -> None:
    """Write the report, drop the book-keeping, give the folder its name."""
    listed = sorted(({k: v for k, v in asdict(r).items() if k not in _PRIVATE} for r in rows), key=_by_file)
    counts = Counter(r.verdict for r in rows)
    report = {
        "counts": {v: counts[v] for v in VERDICTS},
        "reasons": {v: dict(sorted(_reasons(rows, v).items())) for v in VERDICTS[1:]},
        "settings": {k: v for k, v in asdict(settings).items() if k != "site"},
        "profile": "DICOM PS3.15 E.1 Basic Profile; options 113101, 113107, 113108 (docs/deid.md)",
        "key_id": names.digest("key", "id").hex()[:16],
        "code": _code(),
        "run": _fingerprint([r.file + r.digest for r in rows], names, settings),
        "files": listed,
    }
    files.write_json(work / "report.json", report)
    shutil.rmtree(work / "parts", ignore_errors=True)
    (work / "begun.json").unlink(missing_ok=True)
    for folder, _, _ in os.walk(work, topdown=False):
        if folder != str(work) and not os.listdir(folder):
            os.rmdir(folder)
    os.replace(work, out)


_PRIVATE = ("digest", "series_uid", "modality")


def _by_file(row: dict) -> str:
    return row["file"]


def _reasons(rows: list[Row], verdict: Verdict) -> Counter[str]:
    return Counter(r.reason or "" for r in rows if r.verdict == verdict)


def _finished(source: Path, out: Path, paths: list[str], names: Pseudonyms, settings: Settings) -> list[Row]:
    """The rows of a finished folder, if it was made of these very files.

    Raises:
      P2MedError: it was not.
    """
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    digests = []
    for path in paths:
        regular = stat.S_ISREG(os.lstat(source / path).st_mode)
        try:
            digest = keyed_digest(names, read_bytes(source / path)) if regular else ""
        except DataError:
            digest = ""
        digests.append(file_key(names, path) + digest)
    if report.get("run") != _fingerprint(digests, names, settings):
        raise P2MedError(
            f"{out} holds the result of other files, another key or other settings; name a new folder"
        )
    if report.get("code") != _code():
        raise P2MedError(f"{out} was made by another version of p2med; name a new folder")
    by_file = {r["file"]: Row(**r) for r in report["files"]}
    return [by_file[file_key(names, p)] for p in paths]
