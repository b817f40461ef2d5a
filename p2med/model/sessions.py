"""One answer's way through a language model: embeddings in, logits out, whoever computes it.

    session = open_session()
    logits = session.feed(prompt, mask, positions, last=1)     float[B, 1, V]
    session.keep(rows)                                         rows that stopped leave
    logits = session.feed(next_token, longer_mask, …)          and so on

What was fed stays with the session (keys and values), so each token is fed once.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


class Session(Protocol):
    def feed(self, embeds: Tensor, mask: Tensor, positions: Tensor, last: int = 1) -> Tensor:
        """Logits float[B, last, V] of the last positions.

        Args:
          embeds: float[B, T, d], what is new.
          mask: int64|bool[B, everything fed so far and T], 0 where a row is padded.
          positions: int64[B, T], each row's count from its first real token.
        """
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone, int64[B']."""
        ...


OpenSession = Callable[[], Session]


class TorchSession:
    """transformers, with its own cache."""

    def __init__(self, language_model: PreTrainedModel):
        self._model = language_model
        self._cache = DynamicCache(config=language_model.config)

    def feed(self, embeds: Tensor, mask: Tensor, positions: Tensor, last: int = 1) -> Tensor:
        return self._model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=last,
        ).logits

    def keep(self, rows: Tensor) -> None:
        self._cache.batch_select_indices(rows)
