"""Freed blocks are given back, the user's own setting wins, and training learns the same bytes."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_training import SPEC, tiny_section, two_stages, write_mix

from p2med.train import heap
from p2med.train.run import run

GLIBC = hasattr(ctypes.CDLL(None), "mallinfo2")
needs_glibc = pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
BLOCKS = """
import ctypes, sys
from p2med.train import heap

class Info(ctypes.Structure):  # malloc.h, struct mallinfo2
    _fields_ = [(f"f{n}", ctypes.c_size_t) for n in range(10)]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.mallinfo2.restype = ctypes.c_void_p, Info
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
took = heap.give_back_at_once() if sys.argv[1] == "call" else None
libc.free(libc.malloc(8 << 20))  # glibc alone raises its limit here
before = libc.mallinfo2().f3  # hblks: blocks that are mapped by themselves
libc.malloc(4 << 20)
print(took, libc.mallinfo2().f3 - before)
"""


def blocks(how: str, **environment: str) -> str:
    """What the call said, and how many of one large block were mapped by themselves."""
    plain = {k: v for k, v in os.environ.items() if k not in ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")}
    command = [sys.executable, "-c", BLOCKS, how]
    done = subprocess.run(command, env={**plain, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_glibc
def test_large_blocks_stay_mapped_after_one_was_freed():
    assert blocks("no call") == "None 0"
    assert blocks("call") == "True 1"


@needs_glibc
@pytest.mark.parametrize(
    "name, value",
    [
        ("MALLOC_MMAP_THRESHOLD_", str(2**24)),
        ("GLIBC_TUNABLES", f"glibc.malloc.mmap_threshold={2**24}"),
    ],
)
def test_what_the_user_has_set_wins(name, value):
    assert blocks("call", **{name: value}) == "False 0"


@needs_glibc
def test_training_learns_the_same_bytes_with_and_without(tmp_path: Path, monkeypatch):
    made = []
    for name, mapped_from in (("heap", 2**25), ("mapped", 4096)):
        calls = []
        monkeypatch.setattr(heap, "give_back_at_once", lambda calls=calls: calls.append(1))
        assert ctypes.CDLL(None).mallopt(heap.M_MMAP_THRESHOLD, mapped_from)
        root = tmp_path / name
        write_mix(root, ("base", "stage1"), count=18)
        run(two_stages(), tiny_section(), SPEC, root)
        assert calls == [1]
        trained = root / "5_train"
        made.append({p.relative_to(trained): p.read_bytes() for p in trained.rglob("*") if p.is_file()})
    ctypes.CDLL(None).mallopt(heap.M_MMAP_THRESHOLD, heap.MAPPED_FROM_BYTES)
    assert made[0] == made[1]
    assert sum(n.name == "model.safetensors" for n in made[0]) == 2
