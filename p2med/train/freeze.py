"""Which parameters learn, by the part of the model they belong to."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from p2med.errors import RecipeError
from p2med.model.shape import plugin
from p2med.model.vlm import P2MedForConditionalGeneration


def part_of(name: str, adapter_owns: object = None) -> str:
    """encoder, connector, report_words, adapter or llm, from a parameter's name."""
    first = name.split(".")[0]
    if first != "language_model":
        return first
    return "adapter" if callable(adapter_owns) and adapter_owns(name) else "llm"


def learn_only(model: P2MedForConditionalGeneration, learn: Sequence[str], heads: bool) -> dict[str, int]:
    """Let the named parts learn and freeze the rest.

    Args:
      heads: the objective uses the report-words head.

    Returns:
      Parameters that learn, by part.

    Raises:
      RecipeError: a named part is not in this model.
    """
    owns = plugin("adapter", model.config.adapter)[0].owns if model.config.adapter else None
    wanted = {*learn, *(["report_words"] if heads else [])}
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = part_of(name, owns)
        parameter.requires_grad_(part in wanted)
        if part in wanted:
            counts[part] = counts.get(part, 0) + parameter.numel()
    missing = [part for part in learn if part not in counts]
    if missing:
        raise RecipeError(f"train: learn names {', '.join(missing)}, which this model does not have")
    return counts


def recompute(language_model: PreTrainedModel) -> None:
    """Keep each layer's input alone for backward."""
    # Its name since transformers 5.23; older ones have the second.
    enable = getattr(language_model, "activation_checkpointing_enable", None)
    (enable or language_model.gradient_checkpointing_enable)({"use_reentrant": False})


def training_types(module: nn.Module, frozen: torch.dtype | None) -> None:
    """What learns is float32, whatever it came in; the rest `frozen`, or as it is."""
    for parameter in module.parameters():
        wanted = torch.float32 if parameter.requires_grad else frozen or parameter.dtype
        if parameter.dtype != wanted:
            parameter.data = parameter.data.to(wanted)
