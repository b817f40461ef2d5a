"""The recipe's `model` section: which encoder, connector, language model and tokenizer. No torch here."""

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from p2med.schema.base import Frozen


class PartConfig(Frozen):
    """`kind` is a file name in the plug-in folder; every other key is checked by that file's `Options`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    kind: str
    weights: str | None = None
    """A Hugging Face folder; None: random weights of the shape that the options name."""


class TokenizerConfig(Frozen):
    """`train`: learn a sentencepiece model on the training text; `file`: use a tokenizer.model."""

    kind: Literal["train", "file"] = "train"
    vocab_size: int = Field(4000, ge=300)
    path: str | None = None

    @model_validator(mode="after")
    def _has_a_path(self):
        if self.kind == "file" and not self.path:
            raise ValueError("tokenizer kind `file` needs a path to a tokenizer.model")
        return self


class LlmConfig(Frozen):
    """A Hugging Face causal language model, by folder (llm_folder.py says which) or by family and shape."""

    weights: str | None = None
    family: Literal["llama", "qwen2", "qwen3"] = "llama"
    """Of fresh weights: Qwen 2 adds biases to LLaMA's attention, Qwen 3 norms of queries and keys."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of pretrained weights in memory and in checkpoints; what learns is float32 all the same."""
    hidden_size: int = Field(4096, ge=8)
    intermediate_size: int = Field(11008, ge=8)
    num_hidden_layers: int = Field(32, ge=1)
    num_attention_heads: int = Field(32, ge=1)
    max_position_embeddings: int = Field(4096, ge=64)
    tie_word_embeddings: bool = False
    initializer_range: float = Field(0.02, gt=0)
    """Spread of fresh weights. LLaMA's 0.02 suits wide models; narrow ones want about 1/sqrt(width)."""


class ModelSection(Frozen):
    encoder: PartConfig | None = PartConfig(kind="clip_vit")
    """None: a text-only model."""
    connector: PartConfig | None = PartConfig(kind="perceiver")
    llm: LlmConfig = LlmConfig()
    adapter: PartConfig | None = PartConfig(kind="lora")
    tokenizer: TokenizerConfig | None = None
    """None: a pretrained language model's own; without one, one that is learned on the training text."""
    seed: int = 0

    @model_validator(mode="after")
    def _one_tokenizer(self):
        if self.tokenizer and self.tokenizer.kind == "train" and self.llm.weights:
            raise ValueError("a pretrained language model brings its tokenizer; leave `tokenizer` out")
        return self
