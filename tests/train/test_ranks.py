"""Several processes: no layout hangs, gradients are those of one process, a fault in one ends all."""

import fcntl
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from rank_layouts import LEARN, WATCHDOG_S, in_processes, start
from rank_runs import content, run_in_processes, tiny_run
from safetensors.torch import load_file
from tiny_training import write_mix

from p2med.errors import ModelError
from p2med.train import ranks
from p2med.train.features import FeatureFolder
from p2med.train.loop import Loop
from p2med.train.objectives import sft

KINDS = ["whole", "sharded"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_random_layouts_never_hang_and_add_up_to_one_process(count, kind, tmp_path):
    """A few of them; bench/train_ranks.py has a thousand."""
    codes, worst, _ = start(count, tmp_path, kind, layouts=5, seed=count, learn=LEARN[count % 2])
    assert codes == [0] * count
    assert worst < 1e-6


@pytest.mark.parametrize("kind", ["naive", "naive sharded"])
def test_a_naive_version_does_not_get_through_the_same_layouts(kind, tmp_path):
    codes, *_ = start(2, tmp_path, kind, layouts=50)
    assert 0 not in codes


@pytest.mark.parametrize("shard", [False, True])
def test_the_verb_on_three_processes_learns_what_one_learns(shard, tmp_path):
    """With nothing random in a step; weights differ where Adam divides a rounding by itself."""
    one, three = tmp_path / "one", tmp_path / "three"
    for root in (one, three):
        write_mix(root, ("base", "stage1"), count=36, images=lambda n: 1 + n % 2)
    tiny_run(one, both=True)
    assert run_in_processes(3, three, shard=shard, both=True) == [0, 0, 0]
    for stage in ("base", "stage1"):
        losses = [
            [json.loads(x)["loss"] for x in (r / f"5_train/{stage}/losses.jsonl").read_text().splitlines()]
            for r in (one, three)
        ]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
        a, b = (load_file(r / f"5_train/{stage}/model.safetensors") for r in (one, three))
        assert {n: (t.shape, t.dtype) for n, t in a.items()} == {n: (t.shape, t.dtype) for n, t in b.items()}
        for name in a:
            assert torch.allclose(a[name], b[name], atol=1e-4), name
    made_on = json.loads((three / "5_train/stage1/stage.json").read_text())
    assert (made_on["ranks"], made_on["sharded"]) == (3, shard)
    assert (three / "5_train/manifest.json").exists()


def test_in_bfloat16_and_with_gradient_checkpointing_sharded_learns_what_whole_learns(tmp_path):
    lines = {}
    for shard in (False, True):
        root = tmp_path / str(shard)
        write_mix(root, ("base", "stage1"), count=36)
        assert run_in_processes(2, root, shard=shard, both=True, lean=True) == [0, 0]
        lines[shard] = (root / "5_train/stage1/losses.jsonl").read_text().splitlines()
        dtypes = {t.dtype for t in load_file(root / "5_train/stage1/model.safetensors").values()}
        assert dtypes == {torch.float32, torch.bfloat16}
    losses = [[json.loads(x)["loss"] for x in lines[shard]] for shard in (False, True)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


@pytest.mark.parametrize("shard", [False, True])
def test_a_killed_process_ends_all_and_the_same_call_continues_to_the_same_bytes(shard, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        write_mix(root, ("base", "stage1"), count=36)
    assert run_in_processes(2, whole, shard=shard) == [0, 0]
    start = time.monotonic()
    codes = run_in_processes(2, killed, shard=shard, kill={1: (3, signal.SIGKILL)})
    assert codes == [2, -signal.SIGKILL] and time.monotonic() - start < WATCHDOG_S
    assert (killed / "5_train/.base.steps/step-00000002").exists()
    assert run_in_processes(2, killed, shard=shard) == [0, 0]
    assert content(killed / "5_train") == content(whole / "5_train")


PLAIN = sft.loss


def nan_in_rank_1(model, batch):
    value = PLAIN(model, batch)
    nan_in_rank_1.calls += 1
    return value * float("nan") if ranks.world()[0] == 1 and nan_in_rank_1.calls == 3 else value


def hungry_in_rank_1(model, batch):
    if ranks.world()[0] == 1 and len(batch.input_ids) > 1:
        raise torch.OutOfMemoryError("planted")
    return PLAIN(model, batch)


@pytest.mark.parametrize("shard", [False, True])
def test_a_number_that_is_none_in_one_process_is_a_step_left_out_in_all(shard, tmp_path):
    nan_in_rank_1.calls = 0
    write_mix(tmp_path, ("base", "stage1"), count=36)
    assert run_in_processes(2, tmp_path, shard=shard, loss=nan_in_rank_1) == [0, 0]
    assert json.loads((tmp_path / "5_train/base/stage.json").read_text())["skipped_steps"] == 1
    weights = load_file(tmp_path / "5_train/base/model.safetensors")
    assert all(bool(torch.isfinite(w).all()) for w in weights.values())


def test_too_little_memory_in_one_process_halves_its_pass_and_is_remembered_for_all(tmp_path):
    write_mix(tmp_path, ("base", "stage1"), count=36)
    assert run_in_processes(2, tmp_path, loss=hungry_in_rank_1) == [0, 0]
    assert json.loads((tmp_path / "5_train/base/stage.json").read_text())["conversations_a_pass"] == 1


def test_too_little_memory_with_sharded_weights_stops_all_and_the_next_start_halves(tmp_path):
    write_mix(tmp_path, ("base", "stage1"), count=36)
    assert run_in_processes(2, tmp_path, shard=True, loss=hungry_in_rank_1) == [2, 2]
    assert list((tmp_path / "5_train/.base.steps").glob("memory-*.json"))
    assert run_in_processes(2, tmp_path, shard=True, loss=hungry_in_rank_1) == [0, 0]
    assert json.loads((tmp_path / "5_train/base/stage.json").read_text())["conversations_a_pass"] == 1


def test_a_full_disk_in_the_first_process_ends_all_and_then_continues(tmp_path):
    whole, full = tmp_path / "whole", tmp_path / "full"
    for root in (whole, full):
        write_mix(root, ("base", "stage1"), count=36)
    assert run_in_processes(2, whole, shard=True) == [0, 0]
    assert run_in_processes(2, full, shard=True, disk_bytes=300_000) == [2, 2]
    assert run_in_processes(2, full, shard=True) == [0, 0]
    assert content(full / "5_train") == content(whole / "5_train")


# ---------------------------------------------------------------- one folder, one training


def test_a_folder_is_held_by_one_training(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(ModelError, match="another training writes to"), ranks.alone(tmp_path, patience_s=0.2):
        pytest.fail("got in")
    os.close(handle)
    with ranks.alone(tmp_path, patience_s=0.2):
        pass
    assert not list(tmp_path.iterdir())


def worker_of_torchrun(pids) -> None:
    ranks._die_with_torchrun()
    pids.put(os.getpid())
    time.sleep(60)


def torchrun(pids) -> None:
    multiprocessing.get_context("fork").Process(target=worker_of_torchrun, args=(pids,)).start()
    time.sleep(60)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_worker_ends_with_its_torchrun(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    context = multiprocessing.get_context("fork")
    pids = context.Queue()
    parent = context.Process(target=torchrun, args=(pids,))
    parent.start()
    worker = Path(f"/proc/{pids.get(timeout=10)}/status")
    parent.kill()
    end = time.monotonic() + 10
    while worker.exists() and "zombie" not in worker.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


# ---------------------------------------------------------------- what processes share


def keep_features(rank: int, count: int, place: Path, answers) -> None:
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=count)
    folder = FeatureFolder(place / "features", torch.nn.Identity())
    pixels = np.zeros((1, 4, 4), dtype=np.float16)
    for n in range(300):
        path = folder.path(pixels + np.float16(n))
        folder.write(path, torch.full((1, 4, 8), float(n)))
        assert torch.equal(folder.read(path), torch.full((1, 4, 8), float(n)))
    ranks.leave()
    answers.put(True)


def test_two_processes_keep_the_same_features_at_once(tmp_path):
    codes, _ = in_processes(2, WATCHDOG_S, keep_features, place=tmp_path)
    assert codes == [0, 0]


def disagree(rank: int, count: int, place: Path, answers) -> None:
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=count)
    ranks.same_everywhere(b"the same", "the recipe", place)
    with pytest.raises(ModelError, match="the processes disagree on the recipe"):
        ranks.same_everywhere(f"recipe {rank}".encode(), "the recipe", place)
    ranks.leave()
    answers.put(True)


def test_processes_with_other_recipes_are_refused(tmp_path):
    codes, _ = in_processes(2, WATCHDOG_S, disagree, place=tmp_path)
    assert codes == [0, 0]


def test_a_loop_that_is_not_sharded_makes_no_empty_pass():
    assert ranks.passes(["a", "b", "c"], 2) == [(["a", "b"], 1.0), (["c"], 1.0)]
    assert Loop.__init__.__defaults__[-1] is False
