"""Earlier answers of a conversation, made illegible now and then (ours).

With a few hundred conversations a small model learns to continue the wording of the earlier report and
fails on a report that is worded otherwise, although the new image is there to look at. A round whose
history is noise can only be answered from its image; half of the rounds keep their real history.
"""

from dataclasses import replace

import numpy as np

from p2med.train.examples import Example

SPECIAL_IDS = 5
"""unk, bos, eos, pad and image stand below (model/tokenizer.py); noise is drawn from the ids above."""
STRETCH = (0.5, 2.5)
"""Noise is this many times as long as the answer it stands for: reports differ in length, too."""


def with_noisy_history(
    example: Example, share: float, vocabulary: int, random: np.random.Generator
) -> Example:
    """With probability `share`, put random tokens for every answer but the last, which alone is learned.

    The stop tokens and the questions stay. One round has no history and stays as it is.
    """
    spans = _answers(example.learned)
    if len(spans) < 2 or random.random() >= share:
        return example
    ids: list[np.ndarray] = []
    learned: list[np.ndarray] = []
    noise: list[np.ndarray] = []
    at = 0
    for start, end in spans[:-1]:
        body = end - 1 - start  # the stop token stays
        length = max(1, round(body * random.uniform(*STRETCH)))
        drawn = random.integers(SPECIAL_IDS, vocabulary, length).astype(np.int32)
        kept = example.input_ids[at:start]
        ids += [kept, drawn, example.input_ids[end - 1 : end]]
        learned.append(np.zeros(len(kept) + length + 1, dtype=bool))
        noise += [np.zeros(len(kept), dtype=bool), np.ones(length, dtype=bool), np.zeros(1, dtype=bool)]
        at = end
    return replace(
        example,
        input_ids=np.concatenate([*ids, example.input_ids[at:]]),
        learned=np.concatenate([*learned, example.learned[at:]]),
        noise=np.concatenate([*noise, np.zeros(len(example.input_ids) - at, dtype=bool)]),
    )


def _answers(learned: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of every run of learned tokens: an answer with its stop token."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], learned, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
