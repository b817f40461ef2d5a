"""What a recipe may be planned for, and what a stage takes there: resident memory, or a card's.

A CPU's constants are measured (constants.yaml, `python bench/plan.py --fit`); a GPU's are from data sheets
and were never measured with p2med.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from p2med.errors import RecipeError
from p2med.plan.meter import Work

GIB = 2**30
CONSTANTS = Path(__file__).parent / "constants.yaml"
KERNELS_KEPT = 1024
"""oneDNN's cache of compiled kernels (ONEDNN_PRIMITIVE_CACHE_CAPACITY)."""
CARD_BASE = 1.0 * GIB
"""CUDA's context and cuBLAS' room; our guess."""
CARD_SLACK = 0.08
"""What the caching allocator holds beyond the tensors, as a share of what a pass makes; our guess."""


@dataclass(frozen=True)
class Device:
    """`flops_per_s` by type of number and `bytes_per_s` are None where they are measured."""

    name: str
    words: str
    memory: float
    flops_per_s: dict[str, float] | None = None
    bytes_per_s: float | None = None


def devices() -> dict[str, Device]:
    """Those that there are; a CPU has this machine's memory."""
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = (
        Device("cpu", "this machine's processor", here),
        # RTX 4090: NVIDIA Ada GPU architecture white paper, dense, float32 accumulation.
        Device("gpu24", "24 GB card (RTX 4090)", 24 * GIB, {"bfloat16": 165e12, "float32": 82e12}, 1.0e12),
        Device("gpu48", "48 GB card (L40S)", 48 * GIB, {"bfloat16": 362e12, "float32": 91e12}, 0.86e12),
        # 790 TFLOP/s at 500 W and 3 TB/s: shared measurements' figures, below the data sheet's 989.
        Device("gpu80", "80 GB card (H100)", 80 * GIB, {"bfloat16": 790e12, "float32": 67e12}, 3.0e12),
    )
    return {d.name: d for d in found}


def devices_named(name: str) -> list[Device]:
    """One device, or `all`.

    Raises:
      RecipeError: there is no such device.
    """
    known = devices()
    if name == "all":
        return list(known.values())
    if name not in known:
        raise RecipeError(f"--device {name}: there are {', '.join(known)} and all")
    return [known[name]]


def constants() -> dict[str, dict[str, float]]:
    return yaml.safe_load(CONSTANTS.read_bytes())


@dataclass(frozen=True)
class Usage:
    """What memory depends on.

    held: weights, optimizer and kept features; peak: what a pass makes, at its worst moment; built: the
    weights while the model is built; kernels: how many a CPU compiles.
    """

    held: dict[str, float]
    peak: dict[str, float]
    built: float
    kernels: float


def memory_on(device: Device, usage: Usage, fitted: dict[str, dict[str, float]]) -> dict[str, float]:
    """Bytes by what they are; their sum is the peak."""
    found: Counter[str] = Counter(usage.held)
    found.update(usage.peak)
    while_built = usage.built - sum(found.values())
    if while_built > 0:
        found["building"] = while_built
    if device.flops_per_s:
        made = sum(usage.peak.values())
        return dict(found + Counter({"base": CARD_BASE, "allocator": CARD_SLACK * made}))
    c = fitted["memory"]
    found["base"] = c["base"]
    found["kernels"] = c["kernel"] * min(usage.kernels, KERNELS_KEPT)
    return dict(found)


def seconds_on(device: Device, work: Work, threads: int, fitted: dict[str, dict[str, float]]) -> float:
    """How long one phase takes: on a GPU the roofline's limit, on a CPU as fitted."""
    if device.flops_per_s and device.bytes_per_s:
        return sum(max(f / device.flops_per_s[k], b / device.bytes_per_s) for k, f, b in work.each)
    c = fitted["time"]
    return sum(c[k] * f / threads + c["bytes"] * b + c["operation"] for k, f, b in work.each)
