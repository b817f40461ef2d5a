"""Progress for people: a bar with an estimate on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")
LOG_EVERY_SECONDS = 15.0


def track(
    items: Iterable[T], label: str, total: int | None = None, more: Callable[[], str] = lambda: ""
) -> Iterator[T]:
    """Yield `items`; show on standard error how far it is, how long it will take and what `more` says."""
    if total is None:
        total = len(items) if hasattr(items, "__len__") else None  # type: ignore[arg-type]
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=False) as bar:
            task = bar.add_task(label, total=total)
            for item in items:
                yield item
                bar.update(task, advance=1, description=f"{label}  {more()}")
        return
    start = last = time.monotonic()
    for done, item in enumerate(items):
        yield item
        now = time.monotonic()
        if now - last >= LOG_EVERY_SECONDS:
            last = now
            words = [_estimate(done + 1, total, now - start), more()]
            say(f"{label}: {', '.join(w for w in words if w)}")


def _estimate(done: int, total: int | None, seconds: float) -> str:
    if not total:
        return f"{done} done in {seconds:.0f} s"
    left = seconds / done * (total - done)
    return f"{done}/{total} ({100 * done / total:.0f} %), {seconds:.0f} s so far, about {left:.0f} s left"


def say(line: str) -> None:
    """One line for the person at the terminal, on standard error."""
    print(line, file=sys.stderr, flush=True)
