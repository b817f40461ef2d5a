"""The perceiver of P2Med (Sec. V-B.2, eq. 3-4): any number of slices becomes K tokens.

float[N, D, P, C]  + temporal[D] + positional[P]  ->  float[N, D*P, d]
latents float[K, d]:  6 x { latents += Attention(LN(latents), LN(x)); latents += FFN(LN(latents)) }, LN
->  float[N, K, d], used directly as the language model's input embeddings.

Works at the language model's width: only this reaches the paper's "8B" (spec, section 2).
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from p2med.errors import ModelError
from p2med.schema.base import Frozen


class Options(Frozen):
    layers: int = Field(6, ge=1)  # Sec. V-C.2
    latents: int = Field(32, ge=1)  # Sec. V-C.2
    heads: int = Field(8, ge=1)  # heads, their width and the FFN are Flamingo's; the paper is silent
    head_width: int = Field(64, ge=1)
    ffn_factor: int = Field(4, ge=1)
    max_slices: int = Field(128, ge=1)
    kv_includes_latents: bool = False
    """True: keys and values also from the latents, as RadFM does. Eq. 3 takes them from x only."""


class Layer(nn.Module):
    """One cross-attention and one feed-forward block, both residual and normalised first."""

    def __init__(self, options: Options, width: int):
        super().__init__()
        inner = options.heads * options.head_width
        self.heads = options.heads
        self.kv_includes_latents = options.kv_includes_latents
        self.norm_latents = nn.LayerNorm(width)
        self.norm_x = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)
        self.ffn = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, options.ffn_factor * width, bias=False),
            nn.GELU(),
            nn.Linear(options.ffn_factor * width, width, bias=False),
        )

    def forward(self, latents: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """latents float[N, K, d], x float[N, L, d], mask bool[N, L] (False = padding) -> float[N, K, d]."""
        queries, media = self.norm_latents(latents), self.norm_x(x)
        if self.kv_includes_latents:
            media = torch.cat([media, queries], dim=1)
            mask = F.pad(mask, (0, queries.shape[1]), value=True)
        q, (k, v) = self.to_q(queries), self.to_kv(media).chunk(2, dim=-1)
        split = [t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v)]
        attended = F.scaled_dot_product_attention(*split, attn_mask=mask[:, None, None, :])
        latents = latents + self.to_out(attended.transpose(1, 2).flatten(2))
        return latents + self.ffn(latents)


class Perceiver(nn.Module):
    def __init__(self, options: Options, width_in: int, patches: int, width_out: int):
        super().__init__()
        self.max_slices = options.max_slices
        self.temporal = nn.Parameter(torch.zeros(options.max_slices, width_in))
        self.positional = nn.Parameter(torch.zeros(patches, width_in))
        self.project = nn.Linear(width_in, width_out)
        self.latents = nn.Parameter(torch.zeros(options.latents, width_out))
        self.layers = nn.ModuleList(Layer(options, width_out) for _ in range(options.layers))
        self.norm = nn.LayerNorm(width_out)

    def initialise(self) -> None:
        """Latents and both embeddings are learned; linear layers start at Glorot's scale."""
        nn.init.normal_(self.temporal, std=0.02)
        nn.init.normal_(self.positional, std=0.02)
        nn.init.normal_(self.latents, std=1.0)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, features: Tensor, slices: Tensor) -> Tensor:
        """Resample.

        Args:
          features: float[N, D, P, C], padded to the deepest volume of the batch.
          slices: int64[N], true depth of each volume; what lies beyond is masked.

        Returns:
          float[N, K, d].

        Raises:
          ModelError: a volume is deeper than the temporal embedding.
        """
        n, depth, patches, _ = features.shape
        if depth > self.max_slices:
            raise ModelError(
                f"a volume has {depth} slices, this perceiver takes {self.max_slices}; "
                "set curate.image.max_slices or the connector's max_slices"
            )
        x = features + self.temporal[:depth, None] + self.positional
        x = self.project(x.flatten(1, 2))
        real = torch.arange(depth, device=slices.device) < slices[:, None]
        mask = real.repeat_interleave(patches, dim=1)
        latents = self.latents.expand(n, -1, -1)
        for layer in self.layers:
            latents = layer(latents, x, mask)
        return self.norm(latents)


def build(options: Options, width_in: int, patches: int, width_out: int) -> Perceiver:
    return Perceiver(options, width_in, patches, width_out)


def tokens_per_image(options: Options, depth: int, patches: int) -> int:
    """K, whatever the depth."""
    return options.latents
