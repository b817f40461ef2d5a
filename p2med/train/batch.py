"""Examples to tensors: padding, pixels or cached features, augmentation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from p2med.model.processor import stack
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.schema.case import Volume
from p2med.train.augment import augmented
from p2med.train.config import AugmentConfig
from p2med.train.examples import Example, learned_tokens
from p2med.train.features import FeatureFolder

Pixels = Callable[[Volume], np.ndarray]


@dataclass
class Batch:
    """One forward pass. Sums are divided by the totals of the whole step, so that 8 x 1 learns like 1 x 8.

    input_ids int64[B, T], padded at the end; attention_mask, learned, noise bool[B, T].
    pixel_values float32[N, D, H, W] or features float32[N, D, P, C], slices int64[N] for the images.
    image_rounds int64[N]: which of the batch's rounds shows the image; answers: the ids of each such round,
    conclusions: its diagnosis or impression; of a text, those of its last round.
    """

    input_ids: Tensor
    attention_mask: Tensor
    learned: Tensor
    noise: Tensor
    pixel_values: Tensor | None
    features: Tensor | None
    slices: Tensor | None
    image_rounds: Tensor
    answers: list[tuple[int, ...]]
    conclusions: list[str]
    step_learned: int
    step_tokens: int
    step_rounds: int
    step_conversations: int


class Batcher:
    """Makes batches; keeps a frozen encoder's features, in memory within a budget and on disk.

    With a frozen encoder every volume is encoded by itself and its features are rounded to bfloat16, so that
    a kept value is the value that would be computed again, to the last bit.
    """

    def __init__(
        self,
        model: P2MedForConditionalGeneration,
        load: Pixels,
        pad_id: int,
        frozen: bool,
        augment: AugmentConfig | None,
        cache_bytes: float,
        device: torch.device,
        disk: Path | None = None,
    ):
        self._model, self._load, self._pad_id, self._device = model, load, pad_id, device
        self._augment = augment
        self._use_features = frozen and augment is None
        self._cache: dict[str, Tensor] = {}
        self._room = cache_bytes
        self._disk: FeatureFolder | None = None
        if disk and self._use_features and model.encoder is not None:
            self._disk = FeatureFolder(disk, model.encoder)

    def batch(self, examples: Sequence[Example], step_examples: Sequence[Example]) -> Batch:
        """Tensors of `examples`, a part (or all) of the step's `step_examples`."""
        width = max(len(e.input_ids) for e in examples)
        ids = torch.full((len(examples), width), self._pad_id)
        mask = torch.zeros(len(examples), width, dtype=torch.bool)
        learned = torch.zeros(len(examples), width, dtype=torch.bool)
        noise = torch.zeros(len(examples), width, dtype=torch.bool)
        for row, e in enumerate(examples):
            n = len(e.input_ids)
            ids[row, :n] = torch.from_numpy(e.input_ids.astype(np.int64))
            mask[row, :n] = True
            learned[row, :n] = torch.from_numpy(e.learned)
            if e.noise is not None:
                noise[row, :n] = torch.from_numpy(e.noise)
        volumes = [v for e in examples for v in e.volumes]
        pixels, features, slices = self._images(volumes)
        rounds, answers, conclusions = _rounds(examples)
        return Batch(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            learned=learned.to(self._device),
            noise=noise.to(self._device),
            pixel_values=pixels,
            features=features,
            slices=slices,
            image_rounds=torch.tensor(rounds, dtype=torch.int64, device=self._device),
            answers=answers,
            conclusions=conclusions,
            step_learned=max(1, learned_tokens(step_examples)),
            step_tokens=sum(len(e.input_ids) - 1 for e in step_examples),
            step_rounds=max(1, sum(e.rounds for e in step_examples)),
            step_conversations=len(step_examples),
        )

    def _images(self, volumes: list[Volume]) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if not volumes:
            return None, None, None
        if not self._use_features:
            pixels, slices = stack([self._load(v) for v in volumes])
            pixels, slices = pixels.to(self._device), slices.to(self._device)
            shown = augmented(pixels, self._augment) if self._augment else pixels
            return shown, None, slices
        found = [self._features(v) for v in volumes]
        depth = max(len(f) for f in found)
        features = torch.stack([F.pad(f, (0, 0, 0, 0, 0, depth - len(f))) for f in found])
        return None, features, torch.tensor([len(f) for f in found], device=self._device)

    @torch.no_grad()
    def _features(self, volume: Volume) -> Tensor:
        """float32[D, P, C] of one volume."""
        found = self._cache.get(volume.path)
        if found is None:
            found = self._encoded(self._load(volume))
            size = found.numel() * found.element_size()
            if size <= self._room:
                self._room -= size
                self._cache[volume.path] = found
        return found.float()

    def _encoded(self, array: np.ndarray) -> Tensor:
        """bfloat16[D, P, C], from the disk where it is there."""
        path = self._disk.path(array) if self._disk else None
        found = self._disk.read(path) if self._disk and path else None
        if found is None:
            pixels, slices = stack([array])
            found = self._model.encode(pixels.to(self._device), slices.to(self._device))[0].bfloat16()
            if self._disk and path:
                self._disk.write(path, found)
        return found.to(self._device)


def _rounds(examples: Sequence[Example]) -> tuple[list[int], list[tuple[int, ...]], list[str]]:
    """Number the rounds with images over the batch; a text has its last round's conclusion alone."""
    rounds: list[int] = []
    answers: list[tuple[int, ...]] = []
    conclusions: list[str] = []
    for e in examples:
        if not e.image_rounds:
            conclusions.append(e.conclusions[-1] if e.conclusions else "")
        numbers: dict[int, int] = {}
        for r in e.image_rounds:
            if r not in numbers:
                numbers[r] = len(answers)
                answers.append(e.answers[r] if r < len(e.answers) else ())
                conclusions.append(e.conclusions[r] if r < len(e.conclusions) else "")
            rounds.append(numbers[r])
    return rounds, answers, conclusions
