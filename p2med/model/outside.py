"""What is left in torch of a language model whose layers run in another engine: its embeddings."""

import re
from typing import Any, NoReturn

from torch import nn

from p2med.errors import ModelError

EXPORT = "export.json"
"""A checkpoint folder with this file was written by `p2med export`: format, engine, what it was made of."""
OF_THE_ENGINE = re.compile(r"language_model\.(?!model\.embed_tokens\.weight$).*")


class _Embeddings(nn.Module):
    def __init__(self, embed_tokens: nn.Module):
        super().__init__()
        self.embed_tokens = embed_tokens


class Outside(nn.Module):
    """Takes the language model's place in the joint model; names its tensor as the language model does."""

    def __init__(self, language_model: Any):
        super().__init__()
        self.config = language_model.config
        self.model = _Embeddings(language_model.get_input_embeddings())

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed_tokens

    def forward(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ModelError("an exported model answers through its engine; it cannot be trained or run in torch")
