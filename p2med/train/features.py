"""A frozen encoder's features, kept on disk under what was encoded and by whom: epochs never encode again.

    cache/features/<encoder>/<content>.safetensors   features bfloat16[D, P, C], with their digest

Half of a CT sample's cost is its encoder (shared measurements: 13 to 19 s a volume on 4 cores for ViT-L).
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from p2med.files import write_bytes
from p2med.train import ranks


class FeatureFolder:
    """Features by the content of an image; a damaged file is as good as none."""

    def __init__(self, folder: Path, encoder: nn.Module):
        digest = hashlib.sha256(type(encoder).__name__.encode())
        for name, tensor in sorted(encoder.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        self._folder = folder / digest.hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, pixels: np.ndarray) -> Path:
        """Where the features of these pixels [D, H, W] are or will be."""
        digest = hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode())
        digest.update(np.ascontiguousarray(pixels).view(np.uint8))
        return self._folder / f"{digest.hexdigest()}.safetensors"

    def read(self, path: Path) -> Tensor | None:
        """bfloat16[D, P, C], or None when there is no whole file."""
        try:
            with safe_open(path, "pt") as file:
                features = file.get_tensor("features")
                wanted = (file.metadata() or {}).get("sha256")
        except (SafetensorError, OSError):
            return None
        return features if wanted == _digest(features) else None

    def write(self, path: Path, features: Tensor) -> None:
        """Keep them; they appear whole or not at all, also when another process writes the same just now."""
        kept = features.detach().cpu().contiguous()
        mine = path.with_suffix(f".{ranks.world()[0]}")
        write_bytes(mine, save({"features": kept}, {"sha256": _digest(kept)}))
        os.replace(mine, path)


def _digest(features: Tensor) -> str:
    return hashlib.sha256(features.reshape(-1).view(torch.uint8).numpy()).hexdigest()
