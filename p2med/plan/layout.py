"""The model of a stage without its memory, and how many of its numbers there are, learn and take room."""

from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from p2med.imaging.spec import ImageSpec
from p2med.model.build import add_adapter, model_shape
from p2med.model.config import ModelSection
from p2med.model.shape import plugin
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.plan.meter import without_memory
from p2med.train.config import StageConfig, TrainConfig
from p2med.train.freeze import learn_only, part_of, recompute, training_types


@dataclass(frozen=True)
class PartCount:
    """One part of the model (encoder, connector, llm, adapter, report_words)."""

    part: str
    parameters: int
    learned: int
    bytes: int


@dataclass
class Layout:
    """A stage's model. `built_bytes`: what its weights take before the frozen ones change their type."""

    model: P2MedForConditionalGeneration
    fake: FakeTensorMode
    parts: list[PartCount]
    built_bytes: int

    @property
    def learned(self) -> int:
        return sum(p.learned for p in self.parts)

    @property
    def weight_bytes(self) -> int:
        return sum(p.bytes for p in self.parts)


def lay_out(
    section: ModelSection,
    image: ImageSpec,
    vocabulary: int,
    train: TrainConfig,
    stage: StageConfig,
    words: dict[str, tuple[list[int], list[str]]],
    image_token_id: int,
) -> Layout:
    """Build the model on `meta` and lead it through the stages up to `stage`, as training does.

    Args:
      words: the targets of the stages whose objective has a head for them.

    Raises:
      RecipeError: a stage learns a part that the model does not have.
    """
    shape = model_shape(section, image, vocabulary)
    shape.image_token_id = image_token_id
    shape.text_config.pad_token_id = None  # a padding row on `meta` cannot be set to zero
    with torch.device("meta"):
        model = P2MedForConditionalGeneration(shape)
    if section.llm.weights:
        model.language_model.to(getattr(torch, section.llm.dtype))
    built = 0
    stages = train.stages[: train.stages.index(stage) + 1]
    begins = max((n for n, entry in enumerate(stages) if entry.anew), default=0)
    for entry in stages[begins:]:
        with torch.device("meta"):
            if "adapter" in entry.learn and section.adapter is not None:
                add_adapter(model, section.adapter, seed=0)
            if entry.stage in words:
                model.add_report_words(*words[entry.stage], seed=0)
        learn_only(model, entry.learn, heads=entry.stage in words)
        built = max(built, sum(_bytes(p) for p in model.parameters()))
        training_types(model, getattr(torch, train.frozen_dtype) if train.frozen_dtype else None)
    if train.gradient_checkpointing:
        recompute(model.language_model)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    without_memory(model, fake)
    model.train()
    return Layout(model, fake, count_parts(model), built)


def count_parts(model: P2MedForConditionalGeneration) -> list[PartCount]:
    """How many numbers each part has; shared ones count once."""
    owns = plugin("adapter", model.config.adapter)[0].owns if model.config.adapter else None
    found: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        count = found.setdefault(part_of(name, owns), [0, 0, 0])
        count[0] += parameter.numel()
        count[1] += parameter.numel() * parameter.requires_grad
        count[2] += _bytes(parameter)
    return [PartCount(part, *count) for part, count in sorted(found.items())]


def patches_of(section: ModelSection, image: ImageSpec) -> int:
    """Patches of one slice; 0 in a model of text only."""
    shape = model_shape(section, image, vocab_size=300)
    if shape.encoder is None:
        return 0
    module, options = plugin("encoder", shape.encoder)
    with torch.device("meta"):
        return module.build(options, image.size).patches


def image_tokens_of(section: ModelSection, image: ImageSpec, depth: int) -> int:
    """How many tokens an image of `depth` slices takes in the text; 0 in a model of text only."""
    connector = model_shape(section, image, vocab_size=300).connector
    if connector is None:
        return 0
    module, options = plugin("connector", connector)
    return module.tokens_per_image(options, depth, patches_of(section, image))


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def learns_text(stage: StageConfig) -> bool:
    """False when only image parts learn: then text is left out."""
    return bool({"llm", "adapter"} & set(stage.learn))
