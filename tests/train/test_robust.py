"""What breaks while training: memory, numbers, kept features."""

import math

import pytest
import torch
from tiny_training import SPEC, tiny_section, write_mix

from p2med import store
from p2med.errors import ModelError
from p2med.model.build import build, build_tokenizer
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import prepare_examples
from p2med.train.freeze import learn_only, recompute
from p2med.train.loop import Loop
from p2med.train.objectives import sft
from p2med.train.resume import Progress


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    root = tmp_path_factory.mktemp("robust")
    return root, write_mix(root, ("base",), count=36)


def make_loop(mixed, log, loss=sft.loss, learn=("encoder", "connector", "llm"), **stage):
    root, conversations = mixed
    section = tiny_section()
    model, processor = build(
        section, SPEC, build_tokenizer(section, {t.text for c in conversations for t in c.turns})
    )
    examples, _ = prepare_examples(conversations, processor, 512, learns_text=True, task_weights={})
    learn_only(model, learn, heads=False)
    config = StageConfig(
        **{"stage": "base", "learn": learn, "lr": 1e-3, "steps": 12, "save_every": 3, **stage}
    )
    batcher = Batcher(
        model,
        load=lambda volume: store.read_volume(volume.path, root),
        pad_id=3,
        frozen="encoder" not in learn,
        augment=None,
        cache_bytes=0,
        device=torch.device("cpu"),
        disk=log / "features",
    )
    return Loop(model, examples, config, loss, batcher, log)


def weights(loop):
    return {n: p.detach().clone() for n, p in loop.learning.items()}


# ---------------------------------------------------------------- memory


def hungry(limit):
    """A loss that needs more memory than there is for more than `limit` conversations at once."""

    def loss(model, batch):
        if len(batch.input_ids) > limit:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return sft.loss(model, batch)

    return loss


def test_out_of_memory_halves_the_pass_and_keeps_the_step(mixed, tmp_path, capsys):
    plain = make_loop(mixed, tmp_path)
    small = make_loop(mixed, tmp_path, loss=hungry(2))
    a, b = plain.run(tmp_path / "a", {}), small.run(tmp_path / "b", {})
    assert (a.micro, b.micro) == (None, 2)
    for x, y in zip(a.losses, b.losses, strict=True):
        assert x["loss"] == pytest.approx(y["loss"], rel=2e-3)
    assert "out of memory, 2 conversations a pass" in capsys.readouterr().err


def test_what_memory_allowed_is_kept_in_the_checkpoint(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path, loss=hungry(2))
    loop._save(tmp_path / "s", {}, _after(loop, 3))
    assert make_loop(mixed, tmp_path)._load(tmp_path / "s", {}).micro == 2


def _after(loop, steps):
    progress = loop._load(loop.log / "none", {})
    for step in range(steps):
        loop._step(step, progress)
    return progress


def test_one_conversation_that_does_not_fit_is_one_line(mixed, tmp_path):
    with pytest.raises(ModelError, match="one conversation alone does not fit"):
        make_loop(mixed, tmp_path, loss=hungry(0)).run(tmp_path / "a", {})


def test_another_runtime_error_is_not_taken_for_it(mixed, tmp_path):
    def broken(model, batch):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        make_loop(mixed, tmp_path, loss=broken).run(tmp_path / "a", {})


def kept_for_backward(loop, chosen):
    """Gradients of a step, and how many bytes autograd held for them."""
    held = {}

    def note(tensor):
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    loop.model.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loop._gradients(0, chosen, Progress())
    return {n: p.grad for n, p in loop.learning.items()}, sum(held.values())


def test_with_gradient_checkpointing_less_is_kept_and_gradients_are_the_same(mixed, tmp_path):
    plain, lean = make_loop(mixed, tmp_path / "a"), make_loop(mixed, tmp_path / "b")
    recompute(lean.model.language_model)
    chosen = [e for e in plain.examples if e.group[0] == "volume"][:4]
    (wanted, much), (found, little) = kept_for_backward(plain, chosen), kept_for_backward(lean, chosen)
    assert little < 0.9 * much
    assert all(torch.equal(found[n], g) for n, g in wanted.items() if g is not None)


# ---------------------------------------------------------------- numbers


def failing(first, last):
    """Not a number in the forward passes `first` to `last`."""
    calls = {"n": -1}

    def loss(model, batch):
        calls["n"] += 1
        value = sft.loss(model, batch)
        return value * math.nan if first <= calls["n"] <= last else value

    return loss


def test_after_many_broken_steps_the_last_checkpoint_comes_back(mixed, tmp_path, capsys):
    loop = make_loop(mixed, tmp_path, loss=failing(6, 8), broken_steps_at_most=3, steps=9)
    stop = {}
    restore = loop._restore

    def watched(folder, identity, progress):
        restore(folder, identity, progress)
        stop["weights"] = weights(loop)

    loop._restore = watched
    progress = loop.run(tmp_path / "a", {})
    assert (progress.skipped, progress.restored, progress.step) == (3, 1, 9)
    kept = make_loop(mixed, tmp_path)
    kept._load(tmp_path / "a", {})
    for name, value in kept.learning.items():
        assert torch.equal(value, stop["weights"][name])
    assert "back to the last checkpoint" in capsys.readouterr().err


def test_a_training_that_stays_broken_stops_with_one_line(mixed, tmp_path):
    with pytest.raises(ModelError, match="not finite from step 6 on"):
        make_loop(mixed, tmp_path, loss=failing(4, 99), broken_steps_at_most=2, save_every=99).run(
            tmp_path / "a", {}
        )


def test_weights_after_a_broken_step_are_not_saved(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path, loss=failing(2, 2))
    loop.run(tmp_path / "a", {})
    saved = {p.name for p in (tmp_path / "a").glob("step-*")}
    assert saved == {"step-00000006", "step-00000009"}
    early = make_loop(mixed, tmp_path, loss=failing(2, 2), steps=5)
    early.run(tmp_path / "b", {})
    assert not list((tmp_path / "b").glob("step-*"))


# ---------------------------------------------------------------- kept features


def test_features_are_kept_on_disk_and_the_encoder_rests(mixed, tmp_path, monkeypatch):
    first = make_loop(mixed, tmp_path, learn=("connector", "llm"), save_every=99)
    calls = {"n": 0}
    encode = first.model.encode

    def counted(*args):
        calls["n"] += 1
        return encode(*args)

    first.model.encode = counted
    a = first.run(tmp_path / "a", {})
    images = {v.path for e in first.examples for v in e.volumes}
    assert calls["n"] <= len(images)
    again = make_loop(mixed, tmp_path, learn=("connector", "llm"), save_every=99)
    again.model.encode = lambda *_: pytest.fail("encoded again")
    b = again.run(tmp_path / "b", {})
    assert [x["loss"] for x in a.losses] == [x["loss"] for x in b.losses]
    for x, y in zip(first.learning.values(), again.learning.values(), strict=True):
        assert torch.equal(x, y)


def test_damaged_features_are_made_again_and_another_encoder_has_its_own(mixed, tmp_path):
    loop = make_loop(mixed, tmp_path, learn=("connector", "llm"))
    films = [e for e in loop.examples if e.group[0] == "volume"][:2]
    before = loop.batcher.batch(films, films).features
    for path in (tmp_path / "features").rglob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-3] ^= 255
        path.write_bytes(content)
    again = make_loop(mixed, tmp_path, learn=("connector", "llm"))
    assert torch.equal(again.batcher.batch(films, films).features, before)
    other = make_loop(mixed, tmp_path, learn=("connector", "llm"))
    with torch.no_grad():
        next(other.model.encoder.parameters()).mul_(2)
    other.batcher.__init__(
        other.model, other.batcher._load, 3, True, None, 0, torch.device("cpu"), tmp_path / "features"
    )
    assert not torch.equal(other.batcher.batch(films, films).features, before)
    assert len(list((tmp_path / "features").iterdir())) == 2
