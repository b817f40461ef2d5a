"""The disk of a child process, of which one operation breaks: killed, full, or unreadable."""

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from p2med.guard import WARM

STOPPED, BROKEN = 75, 76
"""Exit codes of a child: an OSError reached the top; anything else did."""


@dataclass(frozen=True)
class Fault:
    """`at` counts operations from 1, or is a share of the run's time for a kill at a moment."""

    kind: str
    at: float
    part: str = "before"


class Disk:
    """Counts the disk operations below `root` and breaks one of them."""

    def __init__(self, root: Path, fault: Fault | None):
        self.root, self.fault = str(root), fault
        self.writes = self.reads = 0

    def install(self) -> None:
        """Put itself before `open` and the functions of `os` that change a disk."""
        self._open = io.open
        builtins.open = io.open = self.open  # type: ignore[assignment]
        for name in ("fsync", "replace", "rename", "mkdir", "unlink", "remove", "rmdir"):
            setattr(os, name, self._around(getattr(os, name)))

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **named: Any) -> Any:
            if not isinstance(path, int) and "dir_fd" not in named and not self._is_inside(path):
                return function(path, *rest, **named)
            if self.breaks("before", "halfway"):
                self.stop()
            done = function(path, *rest, **named)
            if self.breaks("after", count=False):
                self.stop()
            return done

        return call

    def _is_inside(self, path: Any) -> bool:
        return os.path.abspath(os.fspath(path)).startswith(self.root)

    def open(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        """`open`, with a raw file that breaks for what is below the root."""
        if mode not in ("rb", "wb") or isinstance(file, int) or not self._is_inside(file):
            return self._open(file, mode, buffering, *rest, **named)
        if mode == "rb":
            return io.BufferedReader(_Raw(file, mode, self))
        if self.breaks("before"):
            self.stop()
        return io.BufferedWriter(_Raw(file, mode, self))

    def breaks(self, *parts: str, count: bool = True) -> bool:
        """Count one change of the disk; True when the fault is now, in one of these parts of it."""
        self.writes += count
        fault = self.fault
        return (
            fault is not None
            and fault.kind not in ("eio_read", "kill_moment")
            and fault.at == self.writes
            and fault.part in parts
        )

    def stop(self) -> None:
        if self.fault and self.fault.kind == "kill_operation":
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.ENOSPC if self.fault and self.fault.kind == "enospc_write" else errno.EIO
        raise OSError(number, os.strerror(number))

    def read_operation(self) -> None:
        self.reads += 1
        if self.fault is not None and self.fault.kind == "eio_read" and self.fault.at == self.reads:
            self.stop()


class _Raw(io.FileIO):
    def __init__(self, file: Any, mode: str, disk: Disk):
        super().__init__(file, mode)
        self.disk = disk

    def write(self, content: Any) -> int:
        if self.disk.breaks("before", "halfway"):
            if self.disk.fault and self.disk.fault.part == "halfway":
                super().write(memoryview(content).cast("B")[: memoryview(content).nbytes // 2])
            self.disk.stop()
        return super().write(content)

    def readinto(self, buffer: Any) -> int | None:
        self.disk.read_operation()
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self.disk.read_operation()
        return super().readall()


def start_readers() -> None:
    """Start the process that p2med's readers are forked from: one for all runs saves seconds a run."""
    forkserver.set_forkserver_preload(WARM)
    forkserver.ensure_running()


def _share_readers() -> None:
    """The forkserver is this process's brother, so it cannot be waited for; it is alive."""
    server, wait = forkserver._forkserver._forkserver_pid, os.waitpid  # type: ignore[attr-defined]
    os.waitpid = lambda pid, options: (0, 0) if pid == server else wait(pid, options)


def child(verb: Callable[[], Any], root: Path, fault: Fault | None, pipe: Any) -> None:
    """Run a verb with a fault; the exit code says how it ended."""
    _share_readers()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.setpgid(0, 0)
    disk = Disk(root, fault)
    disk.install()
    code = 0
    try:
        verb()
    except OSError as error:
        code = STOPPED
        pipe.send(f"{type(error).__name__} {error.errno}")
    except BaseException as error:  # whatever else arrives here is what this bench looks for
        code = BROKEN
        pipe.send(f"{type(error).__name__}: {error}"[:300])
    else:
        pipe.send((disk.writes, disk.reads))
    os._exit(code)
