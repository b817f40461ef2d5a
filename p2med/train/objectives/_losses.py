"""The two losses from which the objectives are made."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch


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
    logits = model.get_output_embeddings()(states[:, :-1][where])
    return F.cross_entropy(logits.float(), batch.input_ids[:, 1:][where], reduction="sum") / total


def report_words_loss(model: P2MedForConditionalGeneration, batch: Batch, seen: Seen | None) -> Tensor:
    """Does the report of a round's images have each of the words?  Binary cross-entropy of both heads.

    Features are pooled by mean and maximum over the real slices' patches, connector tokens by mean; a
    round with several images takes the mean of theirs.
    """
    words = model.config.report_words
    if seen is None or model.report_words is None or batch.slices is None:
        return torch.zeros((), device=batch.input_ids.device)
    depth = seen.features.shape[1]
    real = torch.arange(depth, device=batch.slices.device) < batch.slices[:, None]
    weight = real[:, :, None, None].to(seen.features.dtype)
    mean = (seen.features * weight).sum((1, 2)) / (weight.sum((1, 2)) * seen.features.shape[2])
    peak = seen.features.masked_fill(~real[:, :, None, None], float("-inf")).amax((1, 2))
    heads = model.report_words
    logits = [heads.from_features(torch.cat([mean, peak], dim=-1)), heads.from_tokens(seen.tokens.mean(1))]
    targets = torch.zeros(len(batch.answers), len(words))
    place = {word: n for n, word in enumerate(words)}
    for row, answer in enumerate(batch.answers):
        for token in set(answer):
            if token in place:
                targets[row, place[token]] = 1.0
    targets = targets.to(batch.input_ids.device)
    belongs = F.one_hot(batch.image_rounds, len(batch.answers)).T.to(mean.dtype)
    belongs = belongs / belongs.sum(1, keepdim=True)
    losses = [F.binary_cross_entropy_with_logits(belongs @ x, targets, reduction="sum") for x in logits]
    return torch.stack(losses).sum() / (batch.step_rounds * len(words))
