"""The tokenizer: a sentencepiece model learned on the training text, or a given one.

Given: a tokenizer.model (LLaMA, Chinese-LLaMA-2, Baichuan 2) or a tokenizer.json (byte-level: Qwen).
"""

import io
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer
from transformers import LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from p2med.errors import ModelError

IMAGE_TOKEN = "<image>"
PAD_TOKEN = "<pad>"
STOPS = ("</s>", "<|endoftext|>", "<|im_end|>")
"""What ends a text in base models, the first that a tokenizer.json has."""
_BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}
SETTINGS = {
    "model_type": "bpe",
    "character_coverage": 1.0,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "byte_fallback": True,
    "split_digits": True,
    "max_sentence_length": 1_000_000,
    "max_sentencepiece_length": 8,
    "num_threads": 1,
    "unk_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "pad_id": 3,
    "pad_piece": PAD_TOKEN,
    "control_symbols": [IMAGE_TOKEN],
    "user_defined_symbols": ["\n"],
    "minloglevel": 2,
}
"""Identity normalisation and byte fallback: any text comes back exactly. One thread: the same bytes."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> bytes:
    """Learn a byte-pair tokenizer; the same texts in any order give the same bytes.

    A corpus too small for `vocab_size` pieces gets as many as it has.

    Returns:
      The bytes of a sentencepiece tokenizer.model.
    """
    lines = sorted({line for text in texts for line in text.split("\n") if line})
    if not lines:
        raise ModelError("the tokenizer has no text to learn from; the first stage of the mix is empty")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=vocab_size, **SETTINGS
        )
    except RuntimeError as error:
        fewer = re.search(r"set it to a value <= (\d+)", str(error))
        if not fewer or int(fewer[1]) >= vocab_size:
            words = str(error).rpartition("] ")[2]
            raise ModelError(f"model.tokenizer.vocab_size {vocab_size}: {words}") from None
        # A small corpus has not that many pieces: take all it has.
        return train_tokenizer(lines, int(fewer[1]))
    return model.getvalue()


def open_tokenizer(model: bytes) -> PreTrainedTokenizerBase:
    """A Hugging Face tokenizer from the bytes of a tokenizer.model or tokenizer.json.

    `split_special_tokens`: a user's text that spells `<image>` or `</s>` stays text.

    Raises:
      ModelError: a tokenizer.json that is none, or that names no token to stop at.
    """
    if model.lstrip().startswith(b"{"):
        return _open_json(model)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.model").write_bytes(model)
        return LlamaTokenizer.from_pretrained(
            folder,
            pad_token=PAD_TOKEN,
            extra_special_tokens=[IMAGE_TOKEN],
            split_special_tokens=True,
            padding_side="left",
        )


def _open_json(content: bytes) -> PreTrainedTokenizerBase:
    try:
        inner = Tokenizer.from_str(content.decode("utf-8"))
    except Exception:  # tokenizers raises bare Exceptions
        raise ModelError("the tokenizer.json cannot be read; fetch it again") from None
    stops = [t for t in STOPS if inner.token_to_id(t) is not None]
    if not stops:
        raise ModelError(f"the tokenizer.json has no token to stop at; known are {', '.join(STOPS)}")
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>" if inner.token_to_id("<s>") is not None else None,
        eos_token=stops[0],
        pad_token=PAD_TOKEN,
        extra_special_tokens=[IMAGE_TOKEN],
        split_special_tokens=True,
        padding_side="left",
    )


def bytes_of(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], bytes]:
    """How a piece spells its bytes: byte-level, where every character is a byte, or sentencepiece."""
    if "Ġ" in tokenizer.get_vocab():
        return lambda piece: bytes(_BYTE_OF[c] for c in piece)
    return _sentencepiece_bytes


def _sentencepiece_bytes(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("▁", " ").encode()
