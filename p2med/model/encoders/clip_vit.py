"""CLIP ViT-L/14 at 336 px, one slice at a time (P2Med Sec. V-C.2).

float[M, H, W] in [0, 1]  ->  3 equal channels, CLIP mean and deviation  ->  float[M, 576, 1024]
"""

import re
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from p2med.model.encoders._folders import part_of_folder, vision_shape
from p2med.schema.base import Frozen

# The constants of OpenAI's CLIP (openai/clip-vit-large-patch14-336, preprocessor_config.json).
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class Options(Frozen):
    """ViT-L/14 unless told otherwise."""

    hidden_size: int = Field(1024, ge=8)
    intermediate_size: int = Field(4096, ge=8)
    num_hidden_layers: int = Field(24, ge=1)
    num_attention_heads: int = Field(16, ge=1)
    patch_size: int = Field(14, ge=2)
    select_layer: int = -2
    """Penultimate layer, as LLaVA does; the paper does not say."""


class ClipVit(nn.Module):
    def __init__(self, options: Options, image_size: int):
        super().__init__()
        shape = options.model_dump(exclude={"select_layer"})
        self.vit = CLIPVisionModel(CLIPVisionConfig(**shape, image_size=image_size))
        self.select_layer = options.select_layer
        self.width = options.hidden_size
        self.patches = (image_size // options.patch_size) ** 2

    def forward(self, slices: Tensor) -> Tensor:
        """float[M, H, W] in [0, 1] -> float[M, P, C]; the class token is dropped (576 = 24 * 24 patches)."""
        mean = slices.new_tensor(MEAN).view(1, 3, 1, 1)
        deviation = slices.new_tensor(DEVIATION).view(1, 3, 1, 1)
        pixels = (slices[:, None].expand(-1, 3, -1, -1) - mean) / deviation
        out = self.vit(pixel_values=pixels, output_hidden_states=True)
        return out.hidden_states[self.select_layer][:, 1:]


def build(options: Options, image_size: int) -> ClipVit:
    return ClipVit(options, image_size)


def read_shape(folder: Path) -> dict[str, Any]:
    """The options of a pretrained folder, from its config.json."""
    return vision_shape(folder, Options, "clip", "clip_vision_model")


def read_weights(encoder: ClipVit, folder: Path) -> None:
    """Fill the encoder from a folder of the tower alone or of the whole CLIP.

    Raises:
      ModelError: a tensor is missing, unknown or of another shape, or made for another image size.
    """
    unused = re.compile(r"text_model\..*|(visual|text)_projection\.weight|logit_scale|.*position_ids")
    part_of_folder(encoder.vit, folder, unused, torch.float32)
