"""Texts that say nearly the same, and reports made from one template.

near text   5-grams, Jaccard >= 0.85 (dedup.py proposes and decides)
template    a report's sentences without sides, lobes, sizes and numbers; a report has the template of another
            when at least `share` of its sentences stand in it
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from p2med.curate.config import DedupConfig
from p2med.curate.dedup import deduplicate

_SENTENCE = re.compile(r"[。；;！!？?\n]|(?<!\d)\.(?!\d)")
_VARIES = re.compile(
    r"少量|中量|大量|轻度|中度|重度|明显|mm|cm|[左右双两侧上中下叶野肺稍略约0-9.,，、:：x×*~%-]"
)
MIN_SENTENCE = 4
MIN_SENTENCES = 2


def near_texts(
    training: Sequence[str], held_out: Sequence[str], config: DedupConfig, threads: int = 0
) -> dict[int, int]:
    """For each training text that repeats a held-out one: the position of that one.

    `deduplicate` compares with kept texts alone. So held-out texts that repeat another one are asked for
    again, and so are training texts that went for another training text.
    """
    sure = config.model_copy(update={"verify": True})
    found: dict[int, int] = {}
    todo = [(list(range(len(held_out))), list(range(len(training))))]
    while todo:
        asking, left = todo.pop()
        left = [t for t in left if t not in found]
        if not asking or not left:
            continue
        n = len(asking)
        texts = [held_out[h] for h in asking] + [training[t] for t in left]
        ranks = np.repeat([0, 1], [n, len(left)])
        original = deduplicate(texts, sure, ranks=ranks, threads=threads).original.tolist()
        found |= {t: asking[o] for t, o in zip(left, original[n:], strict=True) if 0 <= o < n}
        unsure = [t for t, o in zip(left, original[n:], strict=True) if o >= n]
        kept = [h for h, o in zip(asking, original, strict=False) if o < 0]
        todo += [(kept, unsure), ([h for h, o in zip(asking, original, strict=False) if o >= 0], left)]
    return found


def near_links(
    texts: Sequence[str], config: DedupConfig, ids: Sequence[str], threads: int = 0
) -> Iterator[tuple[int, int]]:
    """(text, one that it repeats): enough to bring all copies of a text together, not all pairs."""
    sure = config.model_copy(update={"verify": True})
    original = deduplicate(texts, sure, ids=ids, threads=threads).original
    for n in np.flatnonzero(original >= 0).tolist():
        yield n, int(original[n])


def skeleton(report: str) -> frozenset[str]:
    """A report's sentences without what varies from patient to patient."""
    folded = unicodedata.normalize("NFKC", report).lower()
    sentences = (_VARIES.sub("", "".join(s.split())) for s in _SENTENCE.split(folded))
    return frozenset(s for s in sentences if len(s) >= MIN_SENTENCE)


def same_templates(
    training: Sequence[str], held_out: Sequence[str], share: float
) -> Iterator[tuple[int, int]]:
    """(training position, held-out position) of reports of one template: the first for each held-out one."""
    known: dict[frozenset[str], int] = {}
    for t, report in enumerate(training):
        known.setdefault(skeleton(report), t)
    by_sentence: dict[str, list[frozenset[str]]] = {}
    for one in known:
        for sentence in one:
            by_sentence.setdefault(sentence, []).append(one)
    answers: dict[frozenset[str], int | None] = {}
    for h, report in enumerate(held_out):
        own = skeleton(report)
        if own not in answers:
            answers[own] = _template(own, known, by_sentence, share)
        if (t := answers[own]) is not None:
            yield t, h


def _template(
    own: frozenset[str],
    known: dict[frozenset[str], int],
    by_sentence: dict[str, list[frozenset[str]]],
    share: float,
) -> int | None:
    """The first training report that has enough of these sentences; one sentence is no template."""
    if len(own) < MIN_SENTENCES:
        return None
    needed = next(n for n in range(1, len(own) + 1) if n >= share * len(own))
    # Whoever has `needed` of them has at least one of the rarest len - needed + 1.
    rare = sorted(own, key=lambda s: (len(by_sentence.get(s, ())), s))[: len(own) - needed + 1]
    others = {other for s in rare for other in by_sentence.get(s, ())}
    return min((known[other] for other in others if len(own & other) >= needed), default=None)
