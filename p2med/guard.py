"""Warm child processes that read hostile input under limits; each job ends as exactly one verdict.

a film                        ->  the work's own result
a file that is no DICOM       ->  DataError, as the work raised it
a codec that kills a process  ->  QuarantineError("reader_died"); the next job has a fresh process

A child may write to no file, hold `memory_bytes` and spend so many seconds a job. The parent never looks
into the input: it sends a job and takes back a result or a reason.
"""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from signal import SIGXCPU
from typing import Any, Generic, TypeVar

from p2med.errors import DataError, QuarantineError
from p2med.guard_child import Limits, receive, serve

J = TypeVar("J")
R = TypeVar("R")
WARM = ["p2med.imaging.dicom", "p2med.imaging.picture"]
"""Imported once, by the process that every child is forked from."""
AHEAD = 2
"""Jobs that a child holds: while one answer travels, it reads the next."""
BROKEN = ("reader_died", "memory_limit", "cpu_limit", "time_limit")
"""After these a child is of no more use."""
FAR = 32
"""Results for each child that may wait for an earlier one."""


@dataclass(frozen=True)
class _Job:
    number: int
    job: Any
    weight: int
    second_try: bool = False


class Guard(Generic[J, R]):
    """Runs `work` on jobs in `processes` children (0: one a core); a context manager.

    Args:
      work: a function (or partial of one) that a child can import; raises DataError for what it refuses.
      weight: how many times a job may use the limits' seconds, say the number of its files.
    """

    def __init__(
        self,
        work: Callable[[J], R],
        processes: int = 1,
        limits: Limits | None = None,
        weight: Callable[[J], int] = lambda job: 1,
    ):
        self._work, self._limits, self._weight = work, limits or Limits(), weight
        self._most = processes or len(os.sched_getaffinity(0))
        self._children: list[_Child] = []
        self._again: deque[_Job] = deque()

    def __enter__(self) -> "Guard[J, R]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children; the next call starts new ones."""
        while self._children:
            self._children.pop().end()

    def call(self, job: J) -> R:
        """One job.

        Raises:
          DataError: the work refused it. QuarantineError: it broke the child or its limits.
        """
        (result,) = self.map([job])
        if isinstance(result, DataError):
            raise result
        return result

    def map(self, jobs: Iterable[J]) -> Iterator[R | DataError]:
        """The results in the order of the jobs; a refusal is yielded, not raised."""
        source = (_Job(n, job, max(1, self._weight(job))) for n, job in enumerate(jobs))
        done: dict[int, R | DataError] = {}
        following, job = 0, next(source, None)
        try:
            while True:
                while self._again and self._give(self._again[0]):
                    self._again.popleft()
                while job and not self._again and job.number - following < FAR * self._most:
                    if not self._give(job):
                        break
                    job = next(source, None)
                while following in done:
                    yield done.pop(following)
                    following += 1
                busy = [c for c in self._children if c.jobs]
                if not busy and job is None and not self._again:
                    return
                for child in _answering(busy):
                    self._collect(child, done)
        finally:
            self._again.clear()
            if any(c.jobs for c in self._children):  # the caller left early, or the work is not to be trusted
                self.close()

    def _give(self, job: _Job) -> bool:
        """Hand a job to a child that has room; a second try has a fresh child to itself."""
        full = len(self._children) >= self._most
        if job.second_try:
            if full and not self._drop_idle():
                return False
            child = self._start()
        else:
            room = [c for c in self._children if len(c.jobs) < AHEAD and not c.holds_second_try]
            least = min(room, key=lambda c: len(c.jobs), default=None)
            if full and least is None:
                return False
            child = self._start() if least is None or (least.jobs and not full) else least
        child.take(job)
        return True

    def _start(self) -> "_Child":
        self._children.append(_Child(self._work, self._limits))
        return self._children[-1]

    def _drop_idle(self) -> bool:
        idle = [c for c in self._children if not c.jobs]
        for child in idle[:1]:
            self._drop(child)
        return bool(idle)

    def _collect(self, child: "_Child", done: dict[int, R | DataError]) -> None:
        """Take a child's answer; a child that broke is replaced."""
        fault, value = child.answer()
        first, others = child.jobs[0], list(child.jobs)[1:]
        if fault in BROKEN:
            self._drop(child)
            self._again.extend(others)
        else:
            child.jobs.popleft()
            child.start_clock()
        if fault in BROKEN and fault != "cpu_limit" and not first.second_try:
            # What an earlier job left behind may be to blame, or a machine that was busy or asleep.
            self._again.append(replace(first, second_try=True))
        else:
            done[first.number] = value if fault is None else QuarantineError(fault, value)

    def _drop(self, child: "_Child") -> None:
        self._children.remove(child)
        child.end()


def _answering(busy: "list[_Child]") -> "list[_Child]":
    """Children that answered, died, or are out of time; waits for the first of them."""
    until = min(c.deadline for c in busy)
    ready = wait([c.connection for c in busy], max(0.0, until - time.monotonic()))
    return [c for c in busy if c.connection in ready or c.deadline <= time.monotonic()]


class _Child:
    """The parent's end of one child process."""

    def __init__(self, work: Callable[[Any], Any], limits: Limits):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(WARM)
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, work, limits), daemon=True)
        self._process.start()
        theirs.close()
        self._limits = limits
        self.jobs: deque[_Job] = deque()
        self.deadline = 0.0

    @property
    def holds_second_try(self) -> bool:
        return any(j.second_try for j in self.jobs)

    def take(self, job: _Job) -> None:
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self.start_clock()
        try:
            self.connection.send((job.job, job.weight))
        except OSError:  # it died; its answer will say so
            pass

    def start_clock(self) -> None:
        if self.jobs:
            self.deadline = time.monotonic() + self._limits.wall_seconds * self.jobs[0].weight

    def answer(self) -> tuple[str | None, Any]:
        """(None, a result or DataError), or (fault, detail)."""
        late = f"more than {self._limits.wall_seconds:g} s a file"
        try:
            if not self.connection.poll():
                return "time_limit", late
            return receive(self.connection, self.deadline)
        except TimeoutError:
            return "time_limit", late
        except (EOFError, OSError):
            self._process.join(1)
            code = self._process.exitcode
            if code == -SIGXCPU:
                return "cpu_limit", f"more than {self._limits.cpu_seconds} s a file"
            return "reader_died", f"exit {code}"
        except Exception as error:  # what a broken child sends may be anything
            return "reader_died", f"its answer cannot be read: {type(error).__name__}"

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join()
