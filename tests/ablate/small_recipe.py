"""The demo's recipe with a few children, a few steps and three of its stages."""

from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
STAGES = ("see", "base", "stage3")
STAGE = {"lr": 1.0e-3, "steps": 2, "batch_size": 4}


def small_recipe() -> dict[str, Any]:
    raw = yaml.safe_load((REPOSITORY / "recipes" / "demo.yaml").read_text(encoding="utf-8"))
    raw["synth"] |= {"patients": 10, "xray_pixels": 64, "ct_pixels": 64, "ct_slices": 4, "workers": 1}
    raw["synth"] |= {"bench_share": 0.4, "inpatient_share": 0.7}
    for verb in ("deid", "curate", "mix"):
        raw[verb]["workers"] = 1
    raw["curate"]["image"] |= {"size": 32, "max_slices": 4}
    raw["model"]["encoder"] = {"kind": "cnn", "channels": [8, 16], "blocks": [1, 1], "groups": 4}
    raw["model"]["llm"] |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    raw["model"]["llm"]["num_attention_heads"] = 2
    raw["model"]["tokenizer"]["vocab_size"] = 1200
    keep = ("stage", "learn", "objective")
    stages = [s for s in raw["train"]["stages"] if s["stage"] in STAGES]
    raw["train"]["stages"] = [{k: s[k] for k in keep} | STAGE for s in stages]
    raw["train"] |= {"threads": 1, "device": "cpu"}
    raw["bench"] |= {"max_new_tokens": 8, "threads": 1, "limit_per_task": 3, "device": "cpu"}
    raw["bench"]["swap_images"] = False
    return raw
