"""Warm up what the paper takes pretrained: language on every token, seeing by the reports' words."""

from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.objectives._losses import look, next_token_loss, report_words_loss
from p2med.train.objectives.language import text_tokens
from p2med.train.objectives.report_words import targets

__all__ = ["loss", "targets"]
WORDS_WEIGHT = 2.0
"""Our choice: brings the words' loss (means over words and diseases) to the scale of the language loss."""


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    seen = look(model, batch)
    language = next_token_loss(model, batch, seen, text_tokens(model, batch), batch.step_tokens)
    return language + WORDS_WEIGHT * report_words_loss(model, batch, seen)
