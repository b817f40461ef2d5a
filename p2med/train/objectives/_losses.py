"""The two losses from which the objectives are made."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.objectives._vocabulary import cross_entropy


@dataclass
class Seen:
    """What the model made of a batch's images: features float[N, D, P, C] and tokens float[N, K, d]."""

    features: Tensor
    tokens: Tensor


def look(model: P2MedForConditionalGeneration, batch: Batch) -> Seen | None:
    """Encode the images once for all losses; None for text."""
    if batch.slices is None:
        return None
    features = batch.features
    if features is None:
        assert batch.pixel_values is not None
        features = model.encode(batch.pixel_values, batch.slices)
    return Seen(features, model.image_tokens(features, batch.slices))


def next_token_loss(
    model: P2MedForConditionalGeneration, batch: Batch, seen: Seen | None, wanted: Tensor, total: int
) -> Tensor:
    """Cross-entropy of the wanted tokens bool[B, T], summed and divided by `total`.

    Logits are made for those positions only: with a short answer after a long prompt most are never needed.
    """
    states = model.hidden(batch.input_ids, batch.attention_mask, seen.tokens if seen else None)
    where = wanted[:, 1:]
    head = model.get_output_embeddings().weight
    return cross_entropy(states[:, :-1][where], head, batch.input_ids[:, 1:][where]) / total


def report_words_loss(model: P2MedForConditionalGeneration, batch: Batch, seen: Seen | None) -> Tensor:
    """Does the report of a round's images have each word, its conclusion each disease?

    Mean binary cross-entropy over words plus that over diseases, of both heads. Features are pooled by
    mean and maximum over the real slices' patches, connector tokens by mean; of a round's images the one
    that shows most decides.
    """
    words, diseases = model.config.report_words, model.config.report_diseases
    if seen is None or model.report_words is None or batch.slices is None:
        return torch.zeros((), device=batch.input_ids.device)
    depth = seen.features.shape[1]
    real = torch.arange(depth, device=batch.slices.device) < batch.slices[:, None]
    weight = real[:, :, None, None].to(seen.features.dtype)
    mean = (seen.features * weight).sum((1, 2)) / (weight.sum((1, 2)) * seen.features.shape[2])
    peak = seen.features.masked_fill(~real[:, :, None, None], float("-inf")).amax((1, 2))
    heads = model.report_words
    logits = [heads.from_features(torch.cat([mean, peak], dim=-1)), heads.from_tokens(seen.tokens.mean(1))]
    targets = _targets(batch, words, diseases).to(mean.device)
    scale = torch.tensor([1 / max(1, len(words))] * len(words) + [1 / max(1, len(diseases))] * len(diseases))
    total = torch.zeros((), device=mean.device)
    for each in logits:
        rounds = [each[batch.image_rounds == r].amax(0) for r in range(len(batch.answers))]
        loss = F.binary_cross_entropy_with_logits(torch.stack(rounds), targets, reduction="none")
        total = total + (loss * scale.to(mean.device)).sum()
    return total / batch.step_rounds


def _targets(batch: Batch, words: list[int], diseases: list[str]) -> Tensor:
    """float[R, words + diseases] of 0 and 1."""
    rows = []
    for answer, conclusion in zip(batch.answers, batch.conclusions, strict=True):
        said = set(answer)
        rows.append([float(w in said) for w in words] + [float(d in conclusion) for d in diseases])
    return torch.tensor(rows)
