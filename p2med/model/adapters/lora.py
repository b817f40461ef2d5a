"""LoRA on the language model's linear layers (P2Med eq. 1-2): W' = W + A B^T, through PEFT.

Only inside the language model: an encoder's q_proj has the same name and must not be touched, so PEFT is
given the language model alone.
"""

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear, LoraLayer
from pydantic import Field
from torch import nn

from p2med.model.adapters._product import LeanLinear
from p2med.schema.base import Frozen


class Options(Frozen):
    """Rank, scale and targets are our choice: the paper's Table VII is an image in our copy."""

    rank: int = Field(8, ge=1)
    alpha: float = Field(16.0, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def build(options: Options, language_model: nn.Module) -> None:
    """Add the low-rank matrices to `language_model` in place; B starts at zero, so nothing changes yet."""
    shape = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=list(options.targets),
        bias="none",
    )
    inject_adapter_in_model(shape, language_model)
    for module in language_model.modules():
        if type(module) is Linear:
            module.__class__ = LeanLinear  # the same tensors under the same names
    for name, parameter in language_model.named_parameters():
        if owns(name):
            parameter.data = parameter.data.float()  # a bfloat16 base's small steps would be rounded away


def owns(parameter: str) -> bool:
    """True for the name of a parameter that the adapter added."""
    return ".lora_" in parameter


def merge(language_model: nn.Module) -> None:
    """Fold the matrices into the weights, for answering."""
    for module in language_model.modules():
        if isinstance(module, LoraLayer):
            module.merge()
