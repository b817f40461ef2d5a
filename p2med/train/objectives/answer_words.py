"""Learn answers from parts, and to say from the prompt alone which words its answer has (ours).

A language model that starts from nothing finds the few words of a long dialogue that decide a diagnosis too
late: next-token loss asks for them once a conversation. A linear head on the mean of the prompt's states
predicts the whole answer as a bag of words (Joulin et al. 2016, arXiv:1511.02251), so that every token's
embedding learns at once what it speaks for. For images: report_words. Figures: bench/real_text.md.
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
from p2med.train.objectives.sft_from_parts import parts_loss, read_parts

WORDS_WEIGHT = 12.0
"""Our choice (bench/real_text.md): the words' loss is a mean over words and small beside the answers'."""
DROPOUT = 0.2


def targets(examples: Sequence[Example]) -> tuple[list[int], list[str]]:
    """Token ids of the answers' words; no diseases.

    Raises:
      RecipeError: there are images, whose place in the prompt says nothing about their words.
    """
    if any(e.volumes for e in examples):
        raise RecipeError("train: objective answer_words is for text; use report_words for images")
    counts: Counter[int] = Counter()
    for e in examples:
        counts.update(set(e.input_ids[e.learned].tolist()))
    return balanced(counts, len(examples)), []


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    """For text; a mean over the conversations of the step that this batch adds its share to."""
    parts, states = read_parts(model, batch)
    read = parts.prompt[..., None]
    mean = (states * read).sum(1) / read.sum(1)
    said = [set(ids[learned].tolist()) for ids, learned in zip(batch.input_ids, batch.learned, strict=True)]
    wanted = torch.tensor([[float(w in s) for w in model.config.report_words] for s in said])
    logits = model.report_words.from_states(F.dropout(mean, DROPOUT)).float()
    words = F.binary_cross_entropy_with_logits(logits, wanted.to(logits.device), reduction="sum")
    share = words / wanted.shape[1] / batch.step_conversations
    return parts_loss(model, batch, parts, states) + WORDS_WEIGHT * share
