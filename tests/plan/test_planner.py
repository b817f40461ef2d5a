"""The planner: counts are the model's own, changes have their sign, advice holds by its own figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planned import STAGE, sections, write_run

from p2med.errors import RecipeError
from p2med.model.build import add_adapter, model_shape
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.plan import devices, knobs, report
from p2med.plan.layout import lay_out
from p2med.plan.run import plan_training
from p2med.train.freeze import learn_only

CPU = devices.devices()["cpu"]


def planned(tmp_path: Path, device=CPU, **changes):
    return plan_training(sections(**changes), tmp_path, device)[0]


@pytest.mark.parametrize("learn", [("connector", "adapter"), ("encoder", "connector", "llm")])
@pytest.mark.parametrize("tied", [False, True])
def test_counts_on_meta_are_those_of_the_real_model(learn, tied):
    s = sections(learn=learn, tied=tied)
    layout = lay_out(s.model, s.image, 420, s.train, s.train.stages[0], {}, 4)
    model = P2MedForConditionalGeneration(model_shape(s.model, s.image, 420))
    if "adapter" in learn:
        add_adapter(model, s.model.adapter, seed=0)
    learn_only(model, learn, heads=False)
    assert sum(p.parameters for p in layout.parts) == sum(p.numel() for p in model.parameters())
    assert layout.learned == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert layout.weight_bytes == sum(p.numel() * p.element_size() for p in model.parameters())


def test_a_stage_that_begins_anew_has_no_adapter_of_the_stage_before():
    s = sections(learn=("connector", "adapter"))
    first = s.train.stages[0]
    for anew, parts in ((False, {"adapter"}), (True, set())):
        later = first.model_copy(update={"stage": "two", "learn": ("connector",), "anew": anew})
        train = s.train.model_copy(update={"stages": (first, later)})
        layout = lay_out(s.model, s.image, 420, train, later, {}, 4)
        assert {p.part for p in layout.parts} & {"adapter"} == parts


def test_the_8b_is_counted_without_its_memory(tmp_path):
    s = sections()
    big = s.model.model_validate({})
    s = type(s)(big, s.image.model_copy(update={"size": 336, "max_slices": 128}), s.mix, s.train)
    layout = lay_out(s.model, s.image, 55_296, s.train, s.train.stages[0], {}, 4)
    assert {p.part: p.parameters for p in layout.parts}["llm"] == 6_929_256_448
    assert layout.learned == sum(p.parameters for p in layout.parts if p.part in ("connector", "adapter"))


# ---------------------------------------------------------------- signs


def test_more_conversations_a_pass_take_more(tmp_path):
    peaks = [planned(tmp_path, batch=12, micro=m).peak for m in (2, 4, 12)]
    assert peaks == sorted(peaks) and peaks[0] < peaks[-1]


@pytest.mark.parametrize(
    "less, more",
    [
        ({"layers": 2}, {"layers": 4}),
        ({"width": 64}, {"width": 128}),
        ({"vocabulary": 420}, {"vocabulary": 4000}),
        ({"longest": 128}, {"longest": 1024}),
        ({"learn": ("adapter",)}, {"learn": ("connector", "adapter")}),
        ({"learn": ("connector", "adapter")}, {"learn": ("connector", "llm")}),
        ({"dtype": "bfloat16", "frozen_dtype": "bfloat16"}, {"dtype": "bfloat16"}),
    ],
)
def test_what_is_greater_takes_more_memory_on_a_card(tmp_path, less, more):
    card = devices.devices()["gpu24"]
    assert planned(tmp_path, card, **less).peak < planned(tmp_path, card, **more).peak


def test_what_is_learned_has_gradients_and_two_moments(tmp_path):
    plan = planned(tmp_path, batch=4, micro=2, learn=("connector", "llm"))
    learned = sum(p.learned for p in plan.parts)
    assert plan.memory["optimizer"] == 8 * learned
    # The worst moment is in a pass after the first, which finds gradients; a storage is counted as what the
    # phase that made it is called, and the loss makes some of them in its forward pass.
    assert 2.8 * learned <= plan.memory["gradients"] <= 4.08 * learned
    assert plan.disk["resume"] == 3 * 12 * learned


def test_longer_stages_take_longer_and_no_more_memory(tmp_path):
    short, long = planned(tmp_path, steps=4), planned(tmp_path, steps=8)
    assert long.total_seconds > short.total_seconds
    assert long.peak == pytest.approx(short.peak, rel=0.2)


# ---------------------------------------------------------------- advice


def small_device(memory: float) -> devices.Device:
    return devices.Device(
        "small", "a device for this test", memory, {"float32": 1e12, "bfloat16": 1e12}, 1e11
    )


def test_the_first_knob_that_is_enough_is_named_and_is_enough(tmp_path):
    s = sections(batch=16, width=256, layers=3)
    device = small_device(80 * devices.GIB)
    whole = plan_training(s, tmp_path, device)[0]
    device = small_device((whole.peak - 0.2 * sum(whole.usage.peak.values())) / knobs.SHARE)
    assert not knobs.fits(whole, device)
    found = knobs.advise(s, tmp_path, device, whole)
    assert found.fits
    assert [k.setting for k in found.knobs] == ["train.stages.0.micro_batch_size=8"]
    again = plan_training(found.knobs[0].sections, tmp_path, device)[0]
    assert knobs.fits(again, device)
    shown = report.text([whole], device, {STAGE: found}, zh=False)
    assert "does not fit" in shown and "--set train.stages.0.micro_batch_size=8" in shown
    assert "放不下" in report.text([whole], device, {STAGE: found}, zh=True)


def test_computing_layers_again_is_named_when_nothing_else_is_left_and_is_enough(tmp_path):
    everything = ("encoder", "connector", "llm")  # so nothing is frozen; one conversation a pass, none kept
    s = sections(batch=1, layers=8, steps=1, learn=everything, feature_cache_gib=0)
    whole = plan_training(s, tmp_path, small_device(80 * devices.GIB))[0]
    device = small_device((whole.peak - 0.2 * whole.usage.peak["activations"]) / knobs.SHARE)
    found = knobs.advise(s, tmp_path, device, whole)
    assert found.fits
    assert [k.setting for k in found.knobs] == ["train.gradient_checkpointing=true"]
    assert found.knobs[0].sections.train.gradient_checkpointing
    assert knobs.fits(plan_training(found.knobs[0].sections, tmp_path, device)[0], device)


def test_what_helps_is_named_even_when_it_is_not_enough(tmp_path):
    s = sections(batch=2, micro=1, width=512, layers=4, longest=1024, steps=1)
    whole = plan_training(s, tmp_path, small_device(80 * devices.GIB))[0]
    device = small_device(0.6 * whole.memory["weights"] + 1.05 * (whole.memory["base"] + 20e6))
    found = knobs.advise(s, tmp_path, device, whole)
    assert found.knobs and found.peak < whole.peak and not found.fits


def test_a_device_that_nothing_fits_is_said_so(tmp_path):
    s = sections(steps=1)
    device = small_device(0.5 * devices.GIB)
    plan = plan_training(s, tmp_path, device)[0]
    found = knobs.advise(s, tmp_path, device, plan)
    assert not found.fits
    assert "a larger device" in report.text([plan], device, {STAGE: found}, zh=False)


# ---------------------------------------------------------------- the command


def run_command(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "p2med.cli", *words], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_an_unknown_device_is_one_line(tmp_path):
    write_run(tmp_path, length=40, count=8)
    done = run_command("plan", "recipe.yaml", "--device", "gpu7", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "p2med: --device gpu7: there are cpu, gpu24, gpu48, gpu80 and all\n"
    with pytest.raises(RecipeError):
        devices.devices_named("tpu")


def test_the_plan_of_a_small_training_is_close_to_its_memory(tmp_path):
    """Bounds for any machine: how close the planner is on this one stands in bench/plan.md."""
    write_run(tmp_path, length=500, count=24, batch=24, width=192, layers=4, learn=("connector", "llm"))
    command = run_command("plan", "recipe.yaml", "--json", "plan.json", cwd=tmp_path)
    assert command.returncode == 0, command.stderr
    stage = json.loads((tmp_path / "plan.json").read_bytes())["devices"][0]["stages"][0]
    assert stage["data"] == "mix" and stage["conversations"] == 24
    process = subprocess.Popen(
        [sys.executable, "-m", "p2med.cli", "train", "recipe.yaml"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert stage["peak_bytes"] == pytest.approx(usage.ru_maxrss * 1024, rel=0.35)
