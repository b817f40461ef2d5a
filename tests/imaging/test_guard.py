"""A child process may break in any way; every job has exactly one verdict, in order."""

import os
import pickle
import signal
import time
from functools import partial

import numpy as np
import pytest

from p2med.errors import DataError, P2MedError, QuarantineError
from p2med.guard import Guard
from p2med.guard_child import Limits, receive

TIGHT = Limits(memory_bytes=2 * 1024**3, cpu_seconds=1, wall_seconds=3)


def work(job):
    """What a hostile file could make of its reader."""
    match job:
        case "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "loop":
            while True:
                pass
        case "sleep":
            time.sleep(60)
        case "memory":
            return bytearray(3 * 1024**3)
        case "refuse":
            raise DataError("not_dicom", "by name")
        case "panic":
            raise BaseException("holds a patient's name")
        case "array":
            return np.arange(300_000, dtype=np.int16).reshape(3, 100, 1000)
        case ["write", path]:
            with open(path, "ab") as file:
                file.write(b"x" * 1000)
    return job


def naps(seconds):
    time.sleep(seconds)
    return seconds


REASONS = {
    "die": "quarantined_reader_died",
    "sleep": "quarantined_time_limit",
    "memory": "quarantined_memory_limit",
    "refuse": "not_dicom",
    "panic": "quarantined_reader_failed",
}


def test_every_job_has_one_verdict_in_order_and_the_run_goes_on():
    jobs = [n for name in REASONS for n in (0, 1, name, 2)]
    with Guard(work, 2, TIGHT) as guard:
        results = list(guard.map(jobs))
        assert guard.call(7) == 7
    for job, result in zip(jobs, results, strict=True):
        if isinstance(job, int):
            assert result == job
        else:
            assert isinstance(result, DataError) and result.reason == REASONS[job]
            assert isinstance(result, QuarantineError) == (job != "refuse")
            assert "patient" not in str(result)


def test_seconds_of_work_are_counted_whatever_the_clock_says():
    with (
        Guard(work, 1, Limits(cpu_seconds=1, wall_seconds=60)) as guard,
        pytest.raises(QuarantineError) as error,
    ):
        guard.call("loop")
    assert error.value.reason == "quarantined_cpu_limit"


def test_a_child_cannot_write_to_an_original(tmp_path):
    original = tmp_path / "a.dcm"
    original.write_bytes(b"as the scanner wrote it")
    with Guard(work) as guard, pytest.raises(QuarantineError, match="reader_failed"):
        guard.call(["write", str(original)])
    assert original.read_bytes() == b"as the scanner wrote it"


class _Vanishing:
    """Unpickles to nothing in a child."""

    def __reduce__(self):
        return (_vanish, ())


def _vanish():
    raise ImportError("not in the child")


def test_a_child_that_cannot_start_is_the_machines_fault_not_the_files():
    with Guard(partial(work, _Vanishing())) as guard, pytest.raises(P2MedError, match="could not be started"):
        guard.call("x")


def test_arrays_arrive_whole_and_writable():
    with Guard(work) as guard:
        array = guard.call("array")
    assert array.flags.writeable and (array == work("array")).all()


def echo(job):
    return np.frombuffer(job, np.uint8)


def test_long_jobs_with_long_answers_do_not_wait_for_each_other():
    jobs = [bytes([n]) * 2_000_000 for n in range(12)]
    with Guard(echo, 2) as guard:
        assert [a.tobytes() for a in guard.map(jobs)] == jobs


def swell(job):
    return np.full(3_000_000, len(job) % 256, np.uint8)


def test_many_jobs_with_long_answers_do_not_wait_for_each_other():
    with Guard(swell, 1) as guard:
        assert [int(a[-1]) for a in guard.map([b"x" * 1980] * 80)] == [1980 % 256] * 80


def test_a_caller_who_leaves_early_spoils_nothing():
    with Guard(work, 2) as guard:
        for result in guard.map(range(1000)):
            if result == 3:
                break
        assert list(guard.map(["a", "b"])) == ["a", "b"]


def grows(job):
    """A leak: every job keeps what it took."""
    kept.append(bytearray(job))
    return job


kept: list[bytearray] = []


def test_a_job_is_not_blamed_for_what_others_left_behind():
    jobs = [150 * 1024**2] * 12
    with Guard(grows, 1, Limits(memory_bytes=1536 * 1024**2)) as guard:
        assert list(guard.map(jobs)) == jobs


class Pretend:
    """The parent's connection to a child that was taken over."""

    def __init__(self, content: bytes):
        self.content = content

    def recv_bytes(self, longest: int) -> bytes:
        return self.content


def test_an_answer_cannot_make_the_parent_call_anything():
    claim = pickle.dumps((b"", [1 << 62]))
    with pytest.raises(OSError, match="more than a child can hold"):
        receive(Pretend(claim), 0.0)
    for evil in (b"cposix\nsystem\n(S'true'\ntR.", b"cp2med.files\nwrite_text\n(S'x'\nS'y'\ntR."):
        with pytest.raises(OSError, match="no reader returns"):
            receive(Pretend(evil), 0.0)


def test_patience_lengthens_the_clock_for_a_slow_machine(monkeypatch):
    hurried = Limits(wall_seconds=0.5)
    with Guard(naps, 1, hurried) as guard, pytest.raises(QuarantineError, match="time_limit"):
        guard.call(1.5)
    monkeypatch.setenv("P2MED_PATIENCE", "40")
    with Guard(naps, 1, hurried) as guard:
        assert guard.call(1.5) == 1.5
    for word in ("0", "-1", "x", "1.5"):
        monkeypatch.setenv("P2MED_PATIENCE", word)
        with pytest.raises(P2MedError, match="P2MED_PATIENCE"):
            Guard(naps)
