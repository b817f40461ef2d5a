"""What a busy machine needs to start a reader is not counted as a file's own time."""

import time
from functools import partial

from p2med.guard import Guard
from p2med.guard_child import Limits


class Slow:
    """Takes a second to arrive in another process."""

    def __reduce__(self):
        return _arrive, ()


def _arrive() -> Slow:
    time.sleep(1.0)
    return Slow()


def double(_: Slow, number: int) -> int:
    return 2 * number


def test_a_reader_that_starts_slowly_reads_every_file():
    with Guard(partial(double, Slow()), 1, Limits(wall_seconds=0.5)) as guard:
        assert list(guard.map([1, 2, 3])) == [2, 4, 6]
