"""Learn each section of an answer from a part of the prompt: for few examples and random weights (ours).

The paper's language model comes pretrained. One that starts from nothing learns some hundred dialogues by
heart, and writes a diagnosis that fits its own first sentences instead of reading. Against both:

    prompt   whole lines (turns of the dialogue) are left out, a new choice each time, and single words hidden
    answer   whole sections are hidden from those that follow, and not learned that time
    weight   every section counts the same, however long: the score is a mean over sections, too

Source: word dropout, Iyyer et al. 2015 (aclanthology P15-1162); the amounts are ours, bench/real_text.md.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch

LINES_AT_MOST = 0.8
"""Each conversation draws its own share of prompt lines to leave out, between 0 and this."""
WORDS_AT_MOST = 0.1
"""The same for the words that are hidden in what is left."""
ANSWER_WORDS = 0.1
SECTIONS = 0.3
"""Share of the answer's sections that are hidden; one, drawn at random, never is."""
DROPOUT = 0.1
UNKNOWN_ID, NEWLINE_ID = 0, 5
"""`<unk>` and the line break of the tokenizers that p2med trains (model/tokenizer.py)."""


@dataclass
class Part:
    """What is kept of one conversation: ids int64[T]; hidden bool[T]; weight float[T], 0 = not learned."""

    ids: Tensor
    hidden: Tensor
    weight: Tensor


def part(ids: Tensor, learned: Tensor) -> Part:
    """Draw from torch's global generator, which the loop seeds for every step.

    Args:
      ids: int64[T] of one conversation without padding; learned: bool[T], its answers.
    """
    breaks = ids == NEWLINE_ID
    line = breaks.cumsum(0) - breaks.long()
    before = torch.cat([learned[:1], learned[:-1]])
    line = line + (learned != before).cumsum(0)  # an answer begins a new line, and so does what follows it
    lines = int(line.max()) + 1
    of_answer = torch.zeros(lines, dtype=torch.bool).index_fill(0, line[learned].unique(), True)
    # The first line holds <s>; the line before an answer holds the stop and whose turn it is.
    fixed = of_answer.index_fill(0, torch.tensor([0]), True) | of_answer.roll(-1)
    keep = (fixed | (torch.rand(lines) >= torch.rand(1) * LINES_AT_MOST))[line]
    hidden_line = of_answer & (torch.rand(lines) < SECTIONS)
    hidden_line[line[learned][torch.randint(int(learned.sum()), (1,))]] = False
    share = torch.where(learned, torch.tensor(ANSWER_WORDS), torch.rand(1) * WORDS_AT_MOST)
    hidden = (hidden_line[line] | (torch.rand(len(ids)) < share)) & ~breaks
    length = torch.bincount(line[learned], minlength=lines).float()
    equal = int(learned.sum()) / int((length > 0).sum())  # what all tokens of a section weigh together
    weight = torch.where(learned & ~hidden_line[line], equal / length[line].clamp(min=1), torch.zeros(()))
    return Part(ids[keep], hidden[keep], weight[keep])


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    """Cross-entropy of the answers, every section of one alike; this batch's share of the step.

    Text only: with images, prompt lines could not be left out (use sft).
    """
    device = batch.input_ids.device
    rows = [
        part(ids[real], learned[real])
        for ids, real, learned in zip(
            batch.input_ids.cpu(), batch.attention_mask.cpu(), batch.learned.cpu(), strict=True
        )
    ]
    ids, hidden, weight, real = (
        torch.nn.utils.rnn.pad_sequence(values, batch_first=True).to(device)
        for values in (
            [r.ids for r in rows],
            [r.hidden for r in rows],
            [r.weight for r in rows],
            [torch.ones_like(r.hidden) for r in rows],
        )
    )
    embeds = F.dropout(model.embed(ids.masked_fill(hidden, UNKNOWN_ID), None), DROPOUT)
    out = model.language_model.model(inputs_embeds=embeds, attention_mask=real, use_cache=False)
    states = F.dropout(out.last_hidden_state, DROPOUT)[:, :-1]
    where = weight[:, 1:] > 0
    logits = model.get_output_embeddings()(states[where])
    each = F.cross_entropy(logits.float(), ids[:, 1:][where], reduction="none")
    # Divided by a constant of the step, hidden sections too, so that micro-batches add up.
    return (each * weight[:, 1:][where]).sum() / batch.step_learned
