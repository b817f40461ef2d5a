"""The same deduplication on Daft with two worker processes: the same records stay."""

import random

import pytest

from p2med.curate.config import DedupConfig
from p2med.curate.dedup import deduplicate
from p2med.errors import P2MedError

daft = pytest.importorskip("daft", reason="daft is not installed (extra `cluster`)")

from p2med.curate import dedup_daft  # noqa: E402 (after the check)

CONFIG = DedupConfig()


def records(seed: int, bases: int) -> dict[str, list]:
    """Groups of near-equal texts at all Jaccard levels, equal ones, chains, short ones and a null."""
    rng = random.Random(seed)
    draw = lambda: chr(rng.randrange(0x4E00, 0x9FA5))  # noqa: E731
    texts: list[str | None] = [None, "咳嗽", ""]
    for _ in range(bases):
        text = [draw() for _ in range(150)]
        for _ in range(rng.randrange(1, 6)):
            texts.append("".join(text))
            for place in rng.sample(range(150), rng.randrange(0, 4)):
                text[place] = draw()
        texts.append(texts[-1])
        texts.append(texts[-1][:70] + " " + texts[-1][70:])
    rng.shuffle(texts)
    ranks = [rng.randrange(3) for _ in texts]
    return {"id": [f"r{n}" for n in range(len(texts))], "text": texts, "rank": ranks}


@pytest.mark.parametrize("star", [200, 2], ids=["one walk", "several rounds"])
def test_two_workers_keep_what_one_machine_keeps(star, monkeypatch):
    monkeypatch.setattr(dedup_daft, "STAR", star)
    made = records(1, 25)
    alone = deduplicate(made["text"], CONFIG, ranks=made["rank"], ids=made["id"])
    frame = daft.from_pydict(made).into_batches(40)
    gone = dedup_daft.deduplicate(frame, CONFIG, workers=2).to_pydict()
    went = dict(
        zip(gone["id"], zip(gone["reason"], gone["original"], gone["jaccard"], strict=True), strict=True)
    )
    assert len(went) == len(gone["id"])
    for n, name in enumerate(made["id"]):
        assert (name in went) is not bool(alone.kept[n])
        if alone.few[n]:
            assert went[name] == ("too_few_ngrams", None, None)
        elif name in went:
            reason, original, jaccard = went[name]
            assert reason == "near_duplicate" and original not in went
            assert jaccard >= CONFIG.min_jaccard
            if original == made["id"][alone.original[n]]:
                assert jaccard == alone.jaccard[n]
    assert 40 < len(went) < len(made["id"]) - 25


def test_nothing_near_and_the_literal_reading():
    texts = ["患儿咳嗽三天伴有发热", "双肺呼吸音粗未闻及啰音"]
    frame = daft.from_pydict({"id": ["a", "b"], "text": texts})
    assert dedup_daft.deduplicate(frame, CONFIG).count_rows() == 0
    with pytest.raises(P2MedError, match="one machine"):
        dedup_daft.deduplicate(frame, DedupConfig(verify=False))
