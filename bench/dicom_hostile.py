"""Mutated and hostile DICOM files through the guarded reader: one verdict each; results in dicom_hostile.md.

python bench/dicom_hostile.py --files 20000 --processes 2
"""

import argparse
import random
import resource
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom.data

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "imaging"))
from hostile_maker import hostile
from truth_maker import studies

from p2med.errors import DataError, QuarantineError
from p2med.files import data_folder
from p2med.guard import Guard
from p2med.imaging.dicom import read_series
from p2med.ingest.header import read_instance

LARGEST_SEED = 700_000
ZOO = "dicom_zoo/files.zip"


def read_whole(blob: bytes) -> tuple[float, int]:
    """As ingest and then deid read it; the seconds of work, and the child's largest memory so far, in KiB."""
    began = time.process_time()
    read_instance(blob, "x", uids_by_folder=True)
    read_series([blob])
    return time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def seeds() -> list[bytes]:
    """Well-made and odd files to begin with: pydicom's own, the zoo's, one of each study of known truth."""
    found = [p.read_bytes() for p in sorted(Path(pydicom.data.__file__).parent.rglob("*.dcm"))]
    if (data_folder() / ZOO).exists():
        found += zoo().values()
    found += [m.files[0] for m in studies(0)]
    return [f for f in found if 200 < len(f) <= LARGEST_SEED]


def zoo() -> dict[str, bytes]:
    with zipfile.ZipFile(data_folder() / ZOO) as archive:
        return {n: archive.read(n) for n in sorted(archive.namelist())}


def mutated(whole: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """One of nine ways to spoil a file; every third time the codec is the target."""
    blob = bytearray(whole)
    pixels = whole.find(b"\xe0\x7f\x10\x00") + 20
    if 20 <= pixels < len(blob) and draw.random() < 0.33:
        for _ in range(draw.choice((1, 2, 10, 100))):
            blob[draw.randrange(pixels, min(len(blob), pixels + draw.choice((80, 10**9))))] = draw.randrange(
                256
            )
        return bytes(blob)
    # Half of the changes hit the header, where they hurt most.
    end = min(len(blob), 3000) if draw.random() < 0.5 else len(blob)
    at = draw.randrange(128, end) if end > 129 else 0
    match draw.randrange(8):
        case 0:
            for _ in range(draw.choice((1, 3, 20, 200))):
                blob[draw.randrange(len(blob))] = draw.randrange(256)
        case 1:
            del blob[at:]
        case 2:
            blob[at : at + 4] = draw.choice(
                (b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\0\0\0\xc0", b"\0\0\0\0", b"\xff\x7f\0\0")
            )
        case 3:
            del blob[at : at + draw.choice((1, 2, 8, 500))]
        case 4:
            blob[at:at] = bytes(blob[at : at + draw.choice((8, 100, 4000))]) * draw.choice((1, 50))
        case 5:
            mark = draw.choice((b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"))
            blob[at:at] = mark + draw.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x10\0\0\0"))
        case 6:
            other = draw.choice(others)
            blob[at:] = other[draw.randrange(len(other)) :]
        case 7:
            vr = draw.choice((b"SQ", b"UN", b"OB", b"OW", b"UT", b"DS", b"PN", b"AT", b"\0\0"))
            spot = blob.find(draw.choice((b"US", b"UI", b"DS", b"LO", b"CS", b"OW")), at)
            blob[max(0, spot) : max(0, spot) + 2] = vr
    return bytes(blob)


def jobs(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    if (data_folder() / ZOO).exists():
        yield from zoo().items()
    yield from ((name, blob) for name, blob, _ in hostile())
    draw, wells = random.Random(seed), seeds()
    for number in range(count):
        yield f"mutated {number}", mutated(draw.choice(wells), wells, draw)


def run(count: int, processes: int, seed: int) -> None:
    verdicts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    names: list[str] = []
    slowest, memory, longest_wait = (0.0, ""), 0, 0.0

    def counted() -> Iterator[bytes]:
        for name, blob in jobs(count, seed):
            names.append(name)
            yield blob

    began = last = time.monotonic()
    with Guard(read_whole, processes) as guard:
        for number, result in enumerate(guard.map(counted())):
            now = time.monotonic()
            longest_wait, last = max(longest_wait, now - last), now
            if isinstance(result, QuarantineError):
                kinds["quarantined"] += 1
                print(f"quarantined: {names[number]}, {result}")
            else:
                kinds["rejected" if isinstance(result, DataError) else "accepted"] += 1
            if isinstance(result, DataError):
                verdicts[result.reason] += 1
            else:
                slowest, memory = max(slowest, (result[0], names[number])), max(memory, result[1])
    seconds = time.monotonic() - began
    print(f"{len(names)} files in, {sum(kinds.values())} verdicts, {seconds:.0f} s, {processes} processes")
    print(", ".join(f"{k} {n}" for k, n in sorted(kinds.items())))
    print(f"longest wait for a verdict {longest_wait:.1f} s")
    print(f"most work for an accepted file {slowest[0]:.2f} s ({slowest[1]})")
    print(f"largest resident memory of a child {memory / 1024**2:.2f} GiB")
    for reason, number in verdicts.most_common():
        print(f"  {number:6} {reason}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run(arguments.files, arguments.processes, arguments.seed)
