"""Learn the answer from a prompt of which words are hidden: for few examples and random weights (ours).

The paper's language model comes pretrained. One that starts from nothing learns some hundred dialogues by
heart instead of reading them; hiding another part of the words each time forbids that (word dropout, Iyyer
et al. 2015, aclanthology P15-1162; embedding and state dropout, Srivastava et al. 2014).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.objectives._losses import look
from p2med.train.objectives.language import text_tokens

PROMPT_AT_MOST = 0.6
"""Each conversation draws its own share of hidden prompt tokens between 0 and this."""
ANSWER = 0.1
"""Share of answer tokens hidden from what follows them, so that a first wrong word does not decide all."""
DROPOUT = 0.1
PROMPT_WEIGHT = 0.3
"""Weight of predicting the prompt's own words: it is where the dialogue's language is learned from."""
PROMPT_SAMPLED = 0.25
"""Share of the prompt's tokens that are predicted in a step: the vocabulary's logits are dear."""
UNKNOWN_ID = 0
"""`<unk>` of every sentencepiece LLaMA tokenizer (model/tokenizer.py)."""


def hidden_words(batch: Batch, text: Tensor) -> Tensor:
    """bool[B, T]: the text tokens to hide, drawn from torch's global generator, which the loop seeds."""
    rows, width = batch.input_ids.shape
    share = (torch.rand(rows, 1) * PROMPT_AT_MOST).expand(rows, width).to(batch.input_ids.device)
    share = share.masked_fill(batch.learned, ANSWER)
    return text & (torch.rand(rows, width).to(share.device) < share)


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    """Cross-entropy of the answer plus a part of the prompt's, from what is left of both.

    Each is a sum divided by the whole step's count, so that micro-batches add up.
    """
    seen, text = look(model, batch), text_tokens(model, batch)
    read = batch.input_ids.masked_fill(hidden_words(batch, text), UNKNOWN_ID)
    embeds = F.dropout(model.embed(read, seen.tokens if seen else None), DROPOUT)
    out = model.language_model.model(
        inputs_embeds=embeds, attention_mask=batch.attention_mask, use_cache=False
    )
    states = F.dropout(out.last_hidden_state, DROPOUT)[:, :-1]
    answer = batch.learned[:, 1:]
    sampled = (torch.rand(answer.shape) < PROMPT_SAMPLED).to(answer.device)
    prompt = text[:, 1:] & ~answer & sampled
    wanted = batch.input_ids[:, 1:]

    def summed(where: Tensor) -> Tensor:
        logits = model.get_output_embeddings()(states[where])
        return F.cross_entropy(logits.float(), wanted[where], reduction="sum")

    prompt_total = max(1, batch.step_tokens - batch.step_learned) * PROMPT_SAMPLED
    return summed(answer) / batch.step_learned + PROMPT_WEIGHT * summed(prompt) / prompt_total
