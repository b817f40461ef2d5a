"""EVA-CLIP-g as MiniGPT-Med uses it: ViT-g/14 at 448 px, 39 of its 40 blocks (spec/minigpt_med.md).

float[M, H, W] in [0, 1]  ->  3 equal channels, CLIP mean and deviation  ->  float[M, 1024, 1408] at 448 px

Names are those of the public file eva_vit_g.pth (salesforce/LAVIS). The output is normalised without weights:
MiniGPT-v2 puts a fresh, frozen LayerNorm there.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2med.model.encoders.clip_vit import DEVIATION, MEAN
from p2med.model.weights import TensorFiles, fill
from p2med.schema.base import Frozen


class Options(Frozen):
    hidden_size: int = Field(1408, ge=8)
    intermediate_size: int = Field(6144, ge=8)
    num_hidden_layers: int = Field(39, ge=1)
    num_attention_heads: int = Field(16, ge=1)
    patch_size: int = Field(14, ge=2)


class Attention(nn.Module):
    def __init__(self, options: Options):
        super().__init__()
        width = options.hidden_size
        self.heads = options.num_attention_heads
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        q, k, v = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, options: Options):
        super().__init__()
        self.fc1 = nn.Linear(options.hidden_size, options.intermediate_size)
        self.fc2 = nn.Linear(options.intermediate_size, options.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, options: Options):
        super().__init__()
        self.norm1 = nn.LayerNorm(options.hidden_size, eps=1e-6)
        self.attn = Attention(options)
        self.norm2 = nn.LayerNorm(options.hidden_size, eps=1e-6)
        self.mlp = Mlp(options)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, options: Options):
        super().__init__()
        self.proj = nn.Conv2d(3, options.hidden_size, options.patch_size, options.patch_size)


class EvaVit(nn.Module):
    def __init__(self, options: Options, image_size: int):
        super().__init__()
        self.width = options.hidden_size
        self.patches = (image_size // options.patch_size) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.patches + 1, self.width))
        self.patch_embed = PatchEmbed(options)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.num_hidden_layers))

    def initialise(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, slices: Tensor) -> Tensor:
        """float[M, H, W] in [0, 1] -> float[M, P, C]; the class token is dropped."""
        mean = slices.new_tensor(MEAN).view(1, 3, 1, 1)
        deviation = slices.new_tensor(DEVIATION).view(1, 3, 1, 1)
        pixels = (slices[:, None].expand(-1, 3, -1, -1) - mean) / deviation
        x = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return F.layer_norm(x, (self.width,))[:, 1:]


def build(options: Options, image_size: int) -> EvaVit:
    return EvaVit(options, image_size)


def read_shape(folder: Path) -> dict[str, Any]:
    """The public file has no configuration; its shape is the default one."""
    return {}


def read_weights(encoder: EvaVit, folder: Path) -> None:
    """Fill the encoder from a folder with eva_vit_g.pth; positions are interpolated to the image size.

    Raises:
      ModelError: a tensor is missing, unknown or of another shape.
    """
    depth = len(encoder.blocks)
    later = "|".join(rf"blocks\.{n}\..*" for n in range(depth, depth + 2))
    unused = re.compile(rf"{later}|(fc_)?norm\..*|head\..*")
    found = _Resized(TensorFiles(folder), encoder.pos_embed.shape[1] - 1)
    fill(encoder, found, found.shapes, folder, torch.float32, left_out=unused)


class _Resized(Mapping[str, Tensor]):
    """The files' tensors with `pos_embed` for `patches` patches (bicubic, as LAVIS does)."""

    def __init__(self, files: TensorFiles, patches: int):
        self._files, self._patches = files, patches
        self.shapes = dict(files.shapes)
        have = files.shapes.get("pos_embed", ())
        if len(have) == 3:
            self.shapes["pos_embed"] = (1, patches + 1, have[2])

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._files[name]
        if name != "pos_embed" or tensor.shape[1] == self._patches + 1:
            return tensor
        old, new = (round(n**0.5) for n in (tensor.shape[1] - 1, self._patches))
        grid = tensor[:, 1:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
        return torch.cat([tensor[:, :1].float(), grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)
