"""Learn to see from the reports: which of their words hold for an image (ours; stands for CLIP's weights).

The paper's encoder comes pretrained. One that starts from random weights gets too little to go on from
next-token loss alone, so linear heads predict which tokens the report of the round has (a bag of words,
as in Joulin et al. 2016, arXiv:1511.02251) and which diseases its last section, the impression, names.
The labels are those of each round, not of the visit.
"""

from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.batch import Batch
from p2med.train.examples import Example
from p2med.train.objectives._losses import look, report_words_loss

AT_MOST = 384
RAREST, COMMONEST = 0.02, 0.95
"""Share of the texts that must have a word: rarer ones cannot be learned, commoner ones say nothing."""


def targets(examples: Sequence[Example]) -> tuple[list[int], list[str]]:
    """What to predict: token ids, the most balanced first, then sorted; and diseases, sorted."""
    counts: Counter[int] = Counter()
    named: Counter[str] = Counter()
    known = sorted({d for e in examples for d in e.diseases})
    rounds = 0
    for e in examples:
        for r in sorted(set(e.image_rounds)):
            rounds += 1
            counts.update(set(e.answers[r]))
            named.update(d for d in known if d in e.conclusions[r])
    diseases = [d for d in known if RAREST * rounds <= named[d] <= COMMONEST * rounds]
    return balanced(counts, rounds), diseases


def balanced(counts: Counter[int], total: int) -> list[int]:
    """The words worth predicting of `total` texts: neither rare nor everywhere, the most balanced ones."""
    fit = [t for t, n in counts.items() if RAREST * total <= n <= COMMONEST * total]
    fit.sort(key=lambda t: (abs(counts[t] - total / 2), t))
    return sorted(fit[:AT_MOST])


def loss(model: P2MedForConditionalGeneration, batch: Batch) -> Tensor:
    return report_words_loss(model, batch, look(model, batch))
