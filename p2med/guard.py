"""Warm child processes that read hostile input under limits; each job ends as exactly one verdict.

a film                        ->  the work's own result
a file that is no DICOM       ->  DataError, as the work raised it
a codec that kills a process  ->  QuarantineError, quarantined_reader_died; the next job has a fresh process

A child may write to no file, hold `memory_bytes` and spend so many seconds a job. The parent never looks
into the input: it sends a job and takes back a result or a reason.
"""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from signal import SIGXCPU
from typing import Any, Generic, TypeVar

from p2med.errors import DataError, P2MedError, QuarantineError
from p2med.guard_child import READY, Limits, receive, serve

J = TypeVar("J")
R = TypeVar("R")
WARM = ["p2med.imaging.dicom", "p2med.imaging.picture"]
"""Imported once, by the process that every child is forked from."""
AHEAD = 32
"""Jobs that a child holds: while answers travel and the parent waits for its turn, it reads the next."""
START_SECONDS = 120.0
"""A busy machine may take long to start a child; its jobs' seconds begin afterwards."""
SHORT = 2048
"""Bytes of a job that is sent to a child which is still at work; AHEAD of them fit into a socket."""
FAR = 32
"""Results for each child that may wait for an earlier one."""


@dataclass(frozen=True)
class _Job:
    number: int
    payload: bytes
    weight: int
    second_try: bool = False

    def fits(self, child: "_Child") -> bool:
        """A long job waits for an idle child: two who write and do not read would wait for each other."""
        if not child.jobs:
            return True
        short = len(self.payload) <= SHORT
        return short and len(child.jobs) < AHEAD and not any(j.second_try for j in child.jobs)


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
        self._work, self._limits, self._weight = work, _patient(limits or Limits()), weight
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
        source = (self._packed(n, job) for n, job in enumerate(jobs))
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
                if not busy:  # the caller took what was waiting, so there is room again
                    continue
                for child in _answering(busy):
                    self._collect(child, done)
        finally:
            self._again.clear()
            if any(c.jobs for c in self._children):  # the caller left early, or the work is not to be trusted
                self.close()

    def _packed(self, number: int, job: J) -> _Job:
        weight = max(1, self._weight(job))
        return _Job(number, ForkingPickler.dumps((job, weight)).tobytes(), weight)

    def _give(self, job: _Job) -> bool:
        """Hand a job to a child that has room; a second try has a fresh child to itself."""
        full = len(self._children) >= self._most
        if job.second_try:
            if full and not self._drop_idle():
                return False
            child = self._start()
        else:
            room = [c for c in self._children if job.fits(c)]
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
        """Take a child's answers; a child that broke is replaced."""
        answers, fault, detail = child.answers()
        worn = bool(fault)
        for kind, value in answers:
            job = child.jobs.popleft()
            if kind == "memory_limit" and not job.second_try:
                worn = True  # what earlier jobs left behind may be to blame
                self._again.append(replace(job, second_try=True))
            else:
                done[job.number] = value if kind is None else QuarantineError(kind, value)
        child.start_clock()
        if not worn:
            return
        for job in child.jobs:
            if fault and job.second_try:
                done[job.number] = QuarantineError(fault, detail)
            else:  # which of them broke the child is not known: each is tried by itself
                self._again.append(replace(job, second_try=bool(fault)))
        child.jobs.clear()
        self._drop(child)

    def _drop(self, child: "_Child") -> None:
        self._children.remove(child)
        child.end()


def _patient(limits: Limits) -> Limits:
    """With P2MED_PATIENCE=20 a file may take twenty times as long, so that a slow machine judges no worse."""
    word = os.environ.get("P2MED_PATIENCE") or "1"
    try:
        times = int(word)
    except ValueError:
        times = 0
    if times < 1:
        raise P2MedError("P2MED_PATIENCE must be a whole number of at least 1")
    return replace(limits, cpu_seconds=limits.cpu_seconds * times, wall_seconds=limits.wall_seconds * times)


def _answering(busy: "list[_Child]") -> "list[_Child]":
    """Children that answered, died, or are out of time; waits for the first of them."""
    patience = max(0.0, min(c.deadline for c in busy) - time.monotonic())
    if len(busy) == 1:
        busy[0].connection.poll(patience)
        return busy
    ready = wait([c.connection for c in busy], patience)
    return [c for c in busy if c.connection in ready or c.deadline <= time.monotonic()]


class _Child:
    """The parent's end of one child process."""

    def __init__(self, work: Callable[[Any], Any], limits: Limits):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(sorted({*WARM, getattr(work, "func", work).__module__} - {"__main__"}))
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, work, limits), daemon=True)
        self._process.start()
        theirs.close()
        # A busy machine may take seconds to start it: these are no file's, or every file would be too slow.
        started = False
        with suppress(EOFError, OSError):
            started = self.connection.poll(START_SECONDS) and self.connection.recv_bytes() == READY
        if not started:
            self.end()
            raise P2MedError("a process that reads files could not be started; is there memory enough?")
        self._limits = limits
        self.jobs: deque[_Job] = deque()
        self.deadline = 0.0

    def take(self, job: _Job) -> None:
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self.start_clock()
        try:
            self.connection.send_bytes(job.payload)
        except OSError:  # it died; its answer will say so
            pass

    def start_clock(self) -> None:
        if self.jobs:
            self.deadline = time.monotonic() + self._limits.wall_seconds * self.jobs[0].weight

    def answers(self) -> tuple[list[tuple[str | None, Any]], str, str]:
        """What was answered, each (None, a result or DataError) or (fault, detail); the child's own fault."""
        late = f"more than {self._limits.wall_seconds:g} s a file"
        try:
            if self.connection.poll():
                return receive(self.connection, self.deadline), "", ""
            return [], "time_limit" if self.deadline <= time.monotonic() else "", late
        except TimeoutError:
            return [], "time_limit", late
        except (EOFError, OSError):
            self._process.join(1)
            code = self._process.exitcode
            if code == -SIGXCPU:
                return [], "cpu_limit", f"more than {self._limits.cpu_seconds} s a file"
            return [], "reader_died", f"exit {code}"
        except Exception as error:  # what a broken child sends may be anything
            return [], "reader_died", f"its answer cannot be read: {type(error).__name__}"

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join()
