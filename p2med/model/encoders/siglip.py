"""SigLIP and SigLIP 2 at a fixed size, one slice at a time: transformers' tower without its pooling head.

float[M, H, W] in [0, 1]  ->  3 equal channels in [-1, 1]  ->  float[M, P, C]; there is no class token
"""

import re
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from p2med.model.encoders._folders import part_of_folder, vision_shape
from p2med.schema.base import Frozen


class Options(Frozen):
    """so400m-patch14-384 unless told otherwise (google/siglip2-so400m-patch14-384, config.json)."""

    hidden_size: int = Field(1152, ge=8)
    intermediate_size: int = Field(4304, ge=8)
    num_hidden_layers: int = Field(27, ge=1)
    num_attention_heads: int = Field(16, ge=1)
    patch_size: int = Field(14, ge=2)
    select_layer: int = -2


class Siglip(nn.Module):
    def __init__(self, options: Options, image_size: int):
        super().__init__()
        shape = options.model_dump(exclude={"select_layer"})
        self.vit = SiglipVisionModel(
            SiglipVisionConfig(**shape, image_size=image_size, vision_use_head=False)
        )
        self.select_layer = options.select_layer
        self.width = options.hidden_size
        self.patches = (image_size // options.patch_size) ** 2

    def forward(self, slices: Tensor) -> Tensor:
        """float[M, H, W] in [0, 1] -> float[M, P, C]."""
        pixels = (slices[:, None].expand(-1, 3, -1, -1) - 0.5) / 0.5
        return self.vit(pixel_values=pixels, output_hidden_states=True).hidden_states[self.select_layer]


def build(options: Options, image_size: int) -> Siglip:
    return Siglip(options, image_size)


def read_shape(folder: Path) -> dict[str, Any]:
    """The options of a pretrained folder, from its config.json."""
    return vision_shape(folder, Options, "siglip", "siglip_vision_model")


def read_weights(encoder: Siglip, folder: Path) -> None:
    """Fill the encoder from a folder of the tower alone or of the whole SigLIP.

    Raises:
      ModelError: a tensor is missing, unknown or of another shape.
    """
    unused = re.compile(r"head\..*|text_model\..*|logit_(scale|bias)")
    part_of_folder(encoder.vit, folder, unused, torch.float32)
