"""Learn every text token, prompts too: for a language model that starts from random weights."""

from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.objectives._losses import look, next_token_loss


def text_tokens(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    """bool[B, T]: neither padding nor an image token nor noise."""
    return batch.attention_mask & (batch.input_ids != model.config.image_token_id) & ~batch.noise


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    wanted = text_tokens(model, batch)
    return next_token_loss(model, batch, look(model, batch), wanted, batch.step_tokens)
