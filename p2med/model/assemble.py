"""From pretrained folders to a checkpoint that answers, serves and is looked at like a trained one."""

from pathlib import Path

from p2med import plugins
from p2med.errors import ModelError
from p2med.imaging.spec import ImageSpec
from p2med.model.build import build, build_tokenizer
from p2med.model.checkpoint import save_checkpoint
from p2med.model.config import LlmConfig, ModelSection, PartConfig
from p2med.model.doctor import encoder_kind, look
from p2med.model.shape import FOLDERS


def assemble(
    llm: Path,
    encoder: Path,
    out: Path,
    image_size: int,
    connector: str = "perceiver",
    dtype: str = "bfloat16",
) -> int:
    """Write a checkpoint of a language model, a vision tower and a fresh connector between them.

    Args:
      image_size: pixels a side; the tower's own size unless it interpolates its positions (eva_vit).
      dtype: of the language model, in memory and on disk; 7B in bfloat16 take 14 GB of each.

    Returns:
      How many parameters the model has.

    Raises:
      ModelError: a folder does not fit, by the name of the first tensor; or `out` is there already.
    """
    if out.exists():
        raise ModelError(f"{out} is there already; name another folder or remove it")
    plugins.load(FOLDERS["connector"], connector)
    section = ModelSection(
        encoder=PartConfig(kind=encoder_kind(encoder), weights=str(encoder)),
        connector=PartConfig(kind=connector),
        llm=LlmConfig(weights=str(llm), dtype=dtype),
        adapter=None,
    )
    image = ImageSpec(size=image_size)
    tokenizer = build_tokenizer(section, [])
    model, processor = build(section, image, tokenizer)
    made_of = {"llm": look(llm).record(), "encoder": look(encoder).record()}
    save_checkpoint(out, model, tokenizer, processor, image, {"stage": "assembled", "made_of": made_of})
    return sum(p.numel() for p in model.parameters())
