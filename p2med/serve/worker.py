"""One generation at a time in one thread, behind a short queue: torch is not re-entrant, and a hospital's box
that promises more than it can do answers nobody."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from p2med.serve.protocol import ApiError

RETRY_AFTER_SECONDS = 5
Job = Callable[[Callable[[], bool]], Iterator[Any]]
"""Gets `cancelled()`, yields pieces."""


class _Ticket:
    """A job, where its pieces go, and whether anyone still waits for them."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop):
        self.job, self.loop = job, loop
        self.pieces: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.cancelled = threading.Event()

    def put(self, kind: str, value: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(self.pieces.put_nowait, (kind, value))
        except RuntimeError:  # the loop has closed: nobody waits
            self.cancelled.set()


class Worker:
    """Runs jobs one after another; refuses what would wait too long."""

    def __init__(self, max_waiting: int):
        self.most = max_waiting + 1
        self._count = 0
        self._lock = threading.Lock()
        self._queue: queue.Queue[_Ticket | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True, name="p2med generation")
        self._thread.start()

    async def run(self, job: Job) -> AsyncIterator[Any]:
        """Pieces of a job as they come. Leaving the iteration cancels it.

        Raises:
          ApiError: 429 when the queue is full; whatever the job raises.
        """
        with self._lock:
            if self._count >= self.most:
                raise ApiError(429, f"busy; try again in {RETRY_AFTER_SECONDS} s", "busy")
            self._count += 1
        ticket = _Ticket(job, asyncio.get_running_loop())
        self._queue.put(ticket)
        try:
            while True:
                kind, value = await ticket.pieces.get()
                if kind == "end":
                    return
                if kind == "error":
                    raise value
                yield value
        finally:
            ticket.cancelled.set()

    def _run(self) -> None:
        while (ticket := self._queue.get()) is not None:
            try:
                if not ticket.cancelled.is_set():
                    for piece in ticket.job(ticket.cancelled.is_set):
                        ticket.put("piece", piece)
                        if ticket.cancelled.is_set():
                            break
                ticket.put("end", None)
            except BaseException as error:  # a decoder's panic is no Exception; the thread outlives it too
                known = isinstance(error, Exception)
                ticket.put("error", error if known else RuntimeError(type(error).__name__))
            finally:
                with self._lock:
                    self._count -= 1

    @property
    def busy(self) -> int:
        """Jobs that run or wait."""
        return self._count

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(timeout=10)
