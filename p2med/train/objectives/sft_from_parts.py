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

from p2med.model import packed
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.objectives import sft
from p2med.train.objectives._vocabulary import cross_entropy

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
    """What is kept of one conversation or, padded, of a batch.

    ids int64[T]; hidden bool[T]; weight float[T], 0 = not learned; prompt bool[T], what is
    before the first answer.
    """

    ids: Tensor
    hidden: Tensor
    weight: Tensor
    prompt: Tensor


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
    prompt = learned.cumsum(0) == 0
    return Part(ids[keep], hidden[keep], weight[keep], prompt[keep])


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    """Cross-entropy of the answers, every section of one alike; this batch's share of the step.

    A batch with images is learned as `sft` does: its prompt is little else than what is to be seen.
    """
    if batch.slices is not None:
        return sft.loss(model, batch)
    parts, states = read_parts(model, batch)
    return parts_loss(model, batch, parts, states)


def read_parts(model: P2MedForConditionalGeneration, batch: Batch) -> tuple[Part, Tensor]:
    """Draw a part of every conversation, padded to [B, T], and the last layer's states float[B, T, d]."""
    device = batch.input_ids.device
    drawn = [
        part(ids[real], learned[real])
        for ids, real, learned in zip(
            batch.input_ids.cpu(), batch.attention_mask.cpu(), batch.learned.cpu(), strict=True
        )
    ]
    ids, hidden, weight, prompt, real = (
        torch.nn.utils.rnn.pad_sequence(values, batch_first=True).to(device)
        for values in (
            [p.ids for p in drawn],
            [p.hidden for p in drawn],
            [p.weight for p in drawn],
            [p.prompt for p in drawn],
            [torch.ones_like(p.hidden) for p in drawn],
        )
    )
    embeds = F.dropout(model.embed(ids.masked_fill(hidden, UNKNOWN_ID), None), DROPOUT)
    return Part(ids, hidden, weight, prompt), packed.states(model.language_model, embeds, real)


def parts_loss(model: P2MedForConditionalGeneration, batch: Batch, parts: Part, states: Tensor) -> Tensor:
    """Weighted cross-entropy of what is learned of the parts."""
    states = F.dropout(states, DROPOUT)[:, :-1]
    where = parts.weight[:, 1:] > 0
    head = model.get_output_embeddings().weight
    total = cross_entropy(states[where], head, parts.ids[:, 1:][where], parts.weight[:, 1:][where])
    # Divided by a constant of the step, hidden sections too, so that micro-batches add up.
    return total / batch.step_learned
