"""Freed tensors go back to the system at once: a training on the CPU then takes what its tensors take.

glibc maps blocks of 128 KiB and more by themselves, but each time one is freed it raises this limit to its
size, up to 32 MiB. From then on tensors come from the heap, where the place of a freed one is too small for
the next of the same size, because torch asks for aligned ones: trainings took up to 1.95 times the memory of
their tensors. Mapping costs time, less in pages of 2 MiB (bench/plan.md). Results do not change.
Source: mallopt(3), M_MMAP_THRESHOLD; PyTorch, c10/core/impl/alloc_cpu.cpp.
"""

import ctypes
import os

MAPPED_FROM_BYTES = 1024 * 1024
"""It no longer moves once it is set. 128 KiB take a little less memory and more time (bench/plan.md)."""
M_MMAP_THRESHOLD = -3  # malloc.h


def give_back_at_once(mapped_from: int = MAPPED_FROM_BYTES) -> bool:
    """Map every block of at least so many bytes by itself, from now on in this process.

    Returns:
      False where the user has set this limit, or where the C library has no such one.
    """
    set_by_user = "MALLOC_MMAP_THRESHOLD_" in os.environ
    set_by_user |= "glibc.malloc.mmap_threshold" in os.environ.get("GLIBC_TUNABLES", "")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_by_user or mallopt is None or not mallopt(M_MMAP_THRESHOLD, mapped_from):
        return False
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch before its first tensor
    return True
