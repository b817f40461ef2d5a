"""Learn the assistant's text and its stop token, nothing else (P2Med Sec. V-B.3)."""

from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.objectives._losses import look, next_token_loss


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    """Mean cross-entropy of the learned tokens of the step; this batch's share of it."""
    return next_token_loss(model, batch, look(model, batch), batch.learned, batch.step_learned)
