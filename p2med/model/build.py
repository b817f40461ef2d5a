"""From the recipe's `model` section to a fresh model and its processor."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig

from p2med.errors import ModelError
from p2med.imaging.spec import ImageSpec
from p2med.model.config import ModelSection, PartConfig, TokenizerConfig
from p2med.model.llm_folder import read_llm, read_shape, read_tokenizer
from p2med.model.processor import P2MedProcessor
from p2med.model.shape import P2MedConfig, plugin
from p2med.model.tokenizer import open_tokenizer, train_tokenizer
from p2med.model.vlm import P2MedForConditionalGeneration


def part_options(part: PartConfig | None) -> dict[str, Any] | None:
    """A part of the recipe as the checkpoint's config keeps it: kind and options, no weights' path."""
    return None if part is None else {"kind": part.kind, **(part.model_extra or {})}


def build_tokenizer(section: ModelSection, texts: Iterable[str]) -> bytes:
    """The bytes of the tokenizer: learned on `texts`, the recipe's file or the pretrained folder's."""
    wanted = section.tokenizer or TokenizerConfig()
    if section.llm.weights and section.tokenizer is None:
        return read_tokenizer(_folder(section.llm.weights, "llm"))
    if wanted.kind == "train":
        return train_tokenizer(texts, wanted.vocab_size)
    path = Path(wanted.path or "").expanduser()
    try:
        return path.read_bytes()
    except OSError:
        raise ModelError(f"model.tokenizer.path {path}: no such file; name a tokenizer.model") from None


def build(
    section: ModelSection, image: ImageSpec, tokenizer_model: bytes
) -> tuple[P2MedForConditionalGeneration, P2MedProcessor]:
    """A model with fresh (or the named pretrained) weights, the same for the same section and seed."""
    tokenizer = open_tokenizer(tokenizer_model)
    shape = model_shape(section, image, vocab_size=len(tokenizer))
    shape.image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    _name_special_tokens(shape, tokenizer)
    language_model = None
    if section.llm.weights:
        folder = _folder(section.llm.weights, "llm")
        language_model = read_llm(folder, len(tokenizer), getattr(torch, section.llm.dtype))
    torch.manual_seed(section.seed)
    model = P2MedForConditionalGeneration(shape, language_model)
    if section.encoder and section.encoder.weights:
        module, _ = plugin("encoder", shape.encoder)
        module.read_weights(model.encoder, _folder(section.encoder.weights, "encoder"))
    patches = model.encoder.patches if model.encoder is not None else 0
    return model, P2MedProcessor(tokenizer, connector=shape.connector, patches=patches)


def model_shape(section: ModelSection, image: ImageSpec, vocab_size: int) -> P2MedConfig:
    """The shape of this section's model; the adapter comes with the first stage that learns it."""
    encoder, connector = part_options(section.encoder), part_options(section.connector)
    if (encoder is None) != (connector is None):
        raise ModelError("model: encoder and connector go together; give both or neither")
    if section.encoder and section.encoder.weights and encoder is not None:
        module, _ = plugin("encoder", encoder)
        if not hasattr(module, "read_weights"):
            raise ModelError(f"model.encoder {section.encoder.kind} takes no pretrained weights")
        encoder |= module.read_shape(_folder(section.encoder.weights, "encoder"))
    if connector and connector["kind"] == "perceiver" and image.max_slices:
        connector.setdefault("max_slices", image.max_slices)
    return P2MedConfig(
        text_config=_text_shape(section, vocab_size),
        encoder=encoder,
        connector=connector,
        image_size=image.size,
    )


def _text_shape(section: ModelSection, vocab_size: int) -> PretrainedConfig:
    llm = section.llm
    if llm.weights:
        shape = read_shape(_folder(llm.weights, "llm"))
        shape.vocab_size = max(shape.vocab_size, vocab_size)
        return shape
    # Qwen's defaults, 32 key heads and heads 128 wide, are those of its large models.
    heads = {"num_key_value_heads": llm.num_attention_heads}
    if llm.family == "qwen3":
        heads["head_dim"] = llm.hidden_size // llm.num_attention_heads
    shape = llm.model_dump(exclude={"weights", "dtype", "family"})
    return AutoConfig.for_model(llm.family, **shape, **heads, vocab_size=vocab_size)


def _name_special_tokens(shape: P2MedConfig, tokenizer: Any) -> None:
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(shape, name, getattr(tokenizer, name))
        setattr(shape.text_config, name, getattr(tokenizer, name))


def _folder(path: str, part: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ModelError(f"model.{part}.weights {folder}: no such folder; name one with pretrained weights")
    return folder


def add_adapter(model: P2MedForConditionalGeneration, part: PartConfig, seed: int) -> None:
    """Give the model its adapter, if it has none yet."""
    if model.config.adapter is None:
        options = part_options(part)
        assert options is not None
        module, checked = plugin("adapter", options)
        torch.manual_seed(seed)
        module.build(checked, model.language_model)
        model.config.adapter = options
