"""Learn answers from parts, and to say from the prompt alone what its answer says (ours).

A language model that starts from nothing finds the few words of a long dialogue that decide a diagnosis too
late: next-token loss asks for them once a conversation. Linear heads on the mean of the prompt's states
predict the whole answer as a bag of words (Joulin et al. 2016, arXiv:1511.02251) and which of the usual
diagnoses it gives, so that every token learns at once what it speaks for. In the mean every word counts
once, however often it is said: `宝宝` is said in each turn. For images: report_words. Figures:
bench/real_text.md.
"""

from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from p2med.errors import RecipeError
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.examples import Example
from p2med.train.objectives.report_words import balanced
from p2med.train.objectives.sft_from_parts import UNKNOWN_ID, Part, parts_loss, read_parts

WORDS_WEIGHT = 12.0
"""Our choice (bench/real_text.md): the words' loss is a mean over words and small beside the answers'."""
DROPOUT = 0.2


def targets(examples: Sequence[Example]) -> tuple[list[int], list[str]]:
    """Token ids of the answers' words; the diagnoses that are given at least twice.

    Raises:
      RecipeError: there are images, whose place in the prompt says nothing about their words.
    """
    if any(e.volumes for e in examples):
        raise RecipeError("train: objective answer_words is for text; use report_words for images")
    counts: Counter[int] = Counter()
    for e in examples:
        counts.update(set(e.input_ids[e.learned].tolist()))
    given = Counter(e.conclusions[-1] for e in examples)
    return balanced(counts, len(examples)), sorted(c for c, n in given.items() if n > 1)


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    """For text; a mean over the conversations of the step that this batch adds its share to."""
    parts, states = read_parts(model, batch)
    words, diagnoses = model.config.report_words, model.config.report_diseases
    device = states.device
    said = [set(ids[learned].tolist()) for ids, learned in zip(batch.input_ids, batch.learned, strict=True)]
    has = torch.tensor([[float(w in s) for w in words] for s in said], device=device)
    other = -100  # a diagnosis given once; cross_entropy leaves it out
    gives = [diagnoses.index(c) if c in diagnoses else other for c in batch.conclusions]
    seen = F.dropout(mean_of_words(parts, states), DROPOUT)
    logits = model.report_words.from_states(seen).float()
    of_words, of_diagnoses = logits.split([len(words), len(diagnoses)], dim=1)
    heads = (
        WORDS_WEIGHT / max(1, len(words)) * F.binary_cross_entropy_with_logits(of_words, has, reduction="sum")
    )
    if diagnoses:
        heads = heads + F.cross_entropy(of_diagnoses, torch.tensor(gives, device=device), reduction="sum")
    return parts_loss(model, batch, parts, states) + heads / batch.step_conversations


def mean_of_words(parts: Part, states: Tensor) -> Tensor:
    """Mean of the prompt's states float[B, T, d] in which every different token has the same weight."""
    ids = parts.ids.masked_fill(parts.hidden, UNKNOWN_ID)
    weights = torch.zeros(ids.shape, device=ids.device)
    for row, read in enumerate(parts.prompt):
        _, which, often = ids[row][read].unique(return_inverse=True, return_counts=True)
        weights[row, read] = 1 / often[which].float()
    return (states * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
