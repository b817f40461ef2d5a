"""Processes that work on shards; who finishes first never shows in the result."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


@contextmanager
def workers(count: int, jobs: int | None = None) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of `count` processes (0: one a core), at most one a job; None when one is enough."""
    count = count or len(os.sched_getaffinity(0))
    if jobs is not None:
        count = min(count, jobs)
    if count <= 1:
        yield None
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_die_with_parent) as pool:
        yield pool


def _die_with_parent() -> None:
    """A worker whose parent was killed must not write into the folder that the next run continues."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def in_order(pool: ProcessPoolExecutor | None, work: Callable[[A], B], jobs: Iterable[A]) -> Iterator[B]:
    """`work` of each job, in the order of the jobs; only a few results wait at any time."""
    if pool is None:
        yield from map(work, jobs)
        return
    ahead = 2 * (os.cpu_count() or 1)
    waiting = []
    for job in jobs:
        waiting.append(pool.submit(work, job))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()
