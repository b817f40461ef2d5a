"""What runs inside a child of guard.py, and how its answer travels."""

import io
import os
import pickle
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from p2med.errors import DataError, QuarantineError

# What a result may be made of besides classes of p2med: a child that was taken over must not get
# the parent to call anything.
_PLAIN = {
    ("datetime", "date"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}


_found: dict[tuple[str, str], Any] = {}
PATIENCE_SECONDS = 0.005
"""Answers of quick jobs travel together, but none waits longer than this."""
READY = b"ready"
LONGEST_HEAD = 64 * 1024**2
"""Bytes of an answer without its arrays."""


@dataclass(frozen=True)
class Limits:
    """What one child may use; seconds are of a job of weight 1."""

    memory_bytes: int = 2 * 1024**3
    """Address space, so resident memory is below it."""
    cpu_seconds: int = 5
    wall_seconds: float = 7.0
    """Twice at most: a job that was late is tried once more, for a machine may have been busy."""


def serve(connection: Connection, work: Callable[[Any], Any], limits: Limits) -> None:
    """Answer jobs until the parent closes the connection or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides on Ctrl-C
    # Codecs write complaints about the input to the standard streams.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    answers: list[tuple[str, Any]] = []
    began = 0.0
    with suppress(OSError):  # the parent is gone; the next read says so
        connection.send_bytes(READY)
    while True:
        if answers and not (connection.poll() and time.monotonic() - began < PATIENCE_SECONDS):
            _send(connection, answers)
            answers.clear()
        try:
            job, weight = connection.recv()
        except (EOFError, OSError):
            return
        began = began if answers else time.monotonic()
        # One second more, for the kernel counts whole ones.
        until = int(time.process_time() + limits.cpu_seconds * weight) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (until, most))
        answers.append(_outcome(work, job))


def _outcome(work: Callable[[Any], Any], job: Any) -> tuple[str, Any]:
    try:
        return "result", work(job)
    except MemoryError:
        return "memory_limit", "the reader needs more memory than it may have"
    except QuarantineError as error:
        return error.reason, error.detail
    except DataError as error:
        return "rejected", (error.reason, error.detail)
    except BaseException as error:  # a codec's panic is no Exception (SAFETY.md, F5)
        return "reader_failed", type(error).__name__


def _send(connection: Connection, answers: list[tuple[str, Any]]) -> None:
    """Arrays travel beside the pickle, so that they are never copied as a whole."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(answers, protocol=5, buffer_callback=buffers.append)
    views = [b.raw() for b in buffers]
    connection.send_bytes(pickle.dumps((head, [v.nbytes for v in views])))
    for view in views:
        while view.nbytes:
            view = view[os.write(connection.fileno(), view) :]


def receive(connection: Connection, deadline: float) -> list[tuple[str | None, Any]]:
    """For each answered job (None, a result or DataError), or (fault, detail).

    Raises:
      TimeoutError: the answers are not whole at `deadline` (of time.monotonic). EOFError: the child died.
    """
    head, sizes = _loads(connection.recv_bytes(LONGEST_HEAD), [])
    if sum(sizes) > Limits.memory_bytes or min(sizes, default=0) < 0:
        raise OSError("an answer claims more than a child can hold")
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        view = memoryview(buffer)
        while view.nbytes:
            if not connection.poll(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            count = os.readv(connection.fileno(), [view])
            if count == 0:
                raise EOFError
            view = view[count:]
    found: list[tuple[str | None, Any]] = []
    for kind, value in _loads(head, buffers):
        if kind == "rejected":
            found.append((None, DataError(*value)))
        else:
            found.append((None if kind == "result" else kind, value))
    return found


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = _found.get((module, name))
        if known is None:
            if not module.startswith("p2med.") and (module, name) not in _PLAIN:
                raise OSError("an answer holds what no reader returns")
            known = super().find_class(module, name)
            if (module, name) not in _PLAIN and not isinstance(known, type):
                raise OSError("an answer holds what no reader returns")
            _found[module, name] = known
        return known


def _loads(content: bytes, buffers: list[bytearray]) -> Any:
    return _Unpickler(io.BytesIO(content), buffers=buffers).load()
