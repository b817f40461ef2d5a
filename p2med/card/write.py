"""The card as Markdown (Chinese first) with Hugging Face's header, and as JSON."""

from pathlib import Path
from typing import Any, get_args

import yaml

from p2med import __version__
from p2med.card.config import Use
from p2med.card.content import chapters, warnings
from p2med.card.facts import Facts, gather
from p2med.card.ledger import MADE_HERE, refusals, refuse
from p2med.sheet.write import as_markdown
from p2med.store import write_json, write_text

IMAGE_TASKS = "image-text-to-text"
HEADER_METRICS = ("accuracy", "disease_f1", "finding_f1")
"""Metrics that go into the header's model-index; every number stands in the card's table."""


def write_card(path: Path, out: Path | None = None, uses: tuple[Use, ...] = ()) -> list[Path]:
    """Write model_card.md and model_card.json of a run or a checkpoint.

    Args:
      out: a folder; by default the run folder, or the folder that the checkpoint is in.
      uses: what the model is wanted for, beside what its recipe stated.

    Raises:
      P2MedError: a part forbids a use; or a file is not what its manifest says. Nothing is written then.
    """
    facts = gather(path)
    refuse(facts["licences"], tuple(dict.fromkeys((*facts["use"], *uses))))
    place = out or (path.resolve().parent if (path / "config.json").exists() else path)
    markdown, plain = place / "model_card.md", place / "model_card.json"
    write_text(markdown, as_card(facts))
    write_json(plain, as_json(facts))
    return [markdown, plain]


def as_card(facts: Facts) -> str:
    header = yaml.safe_dump(_header(facts), allow_unicode=True, sort_keys=False, width=1000)
    parts = chapters(facts)
    zh = as_markdown(parts, "zh", f"模型卡 · {facts['name']}")
    en = as_markdown(parts, "en", f"Model card · {facts['name']}")
    return f"---\n{header}---\n\n{zh}\n\n---\n\n{en}"


def as_json(facts: Facts) -> dict[str, Any]:
    """The facts, and what follows from them, for a program."""
    parts = facts["licences"]
    return facts | {
        "p2med": __version__,
        "warnings": [{"zh": zh, "en": en} for zh, en in warnings(facts)],
        "licences": [p.model_dump(mode="json") for p in parts],
        "refused": {use: refusals(parts, (use,)) for use in get_args(Use)},
    }


def _header(facts: Facts) -> dict[str, Any]:
    """The metadata of a Hugging Face model card (huggingface.co/docs/hub/model-cards)."""
    parts = facts["licences"]
    licences = {x for p in parts for x in p.licences} - {MADE_HERE}
    one = licences.pop() if len(licences) == 1 and all(p.licences for p in parts) else None
    known = one in ("Apache-2.0", "MIT", "CC-BY-4.0", "CC0-1.0")
    header: dict[str, Any] = {"language": ["zh"], "license": one.lower() if one and known else "other"}
    if not known:
        header["license_name"] = "those-of-its-parts"
    sees = facts["shape"]["encoder"] is not None
    header["pipeline_tag"] = IMAGE_TASKS if sees else "text-generation"
    header["tags"] = ["medical", "pediatrics", "p2med", "not-for-clinical-use"]
    datasets = [p.part.removeprefix("data:") for p in parts if p.part.startswith("data:")]
    if datasets:
        header["datasets"] = datasets
    dataset = {"type": "held-out-patients", "name": f"{facts['name']}, held-out patients"}
    metrics: dict[str, list[dict[str, Any]]] = {}
    for r in facts["scores"] or ():
        if r["condition"] == "true" and r["metric"] in HEADER_METRICS and r["mean"] is not None:
            name = f"{r['component']} {r['metric']}"
            value = {"type": r["metric"], "name": name, "value": round(r["mean"], 4)}
            metrics.setdefault(r["task"], []).append(value)
    results = [
        {"task": {"type": header["pipeline_tag"], "name": task}, "dataset": dict(dataset), "metrics": values}
        for task, values in metrics.items()
    ]
    if results:
        header["model-index"] = [{"name": facts["name"], "results": results}]
    return header
