"""The objective that shows parts: what is left out, that sections weigh the same."""

import pytest
import torch
from tiny_training import SPEC, tiny_section, write_mix

from p2med.model.build import build, build_tokenizer
from p2med.train.batch import Batcher
from p2med.train.examples import prepare_examples
from p2med.train.objectives import sft_from_parts as objective

# <s> opening / two turns / stop, then an answer of two sections and a stop
IDS = torch.tensor([1, 20, 5, 21, 22, 5, 23, 24, 2, 30, 31, 32, 33, 34, 5, 35, 2])
LEARNED = torch.zeros(len(IDS), dtype=torch.bool).index_fill(0, torch.arange(11, 17), True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    conversations = [c for c in write_mix(root, ("base",), count=36) if not c.has_image]
    section = tiny_section()
    tokenizer = build_tokenizer(section, {t.text for c in conversations for t in c.turns})
    model, processor = build(section, SPEC, tokenizer)
    examples, _ = prepare_examples(conversations, processor, 512, learns_text=True, task_weights={})
    pad = processor.tokenizer.pad_token_id
    return model, processor, Batcher(model, lambda v: None, pad, True, None, 0, torch.device("cpu")), examples


def test_the_ids_are_the_tokenizers(made):
    tokenizer = made[1].tokenizer
    assert tokenizer.unk_token_id == objective.UNKNOWN_ID
    assert made[1].text_ids("a\nb").count(objective.NEWLINE_ID) == 1


def test_only_whole_prompt_lines_are_left_out_and_the_answer_stays():
    torch.manual_seed(0)
    seen = [objective.part(IDS, LEARNED) for _ in range(300)]
    kept = {tuple(p.ids.tolist()) for p in seen}
    head, answer = [1, 20, 5], [23, 24, 2, 30, 31, 32, 33, 34, 5, 35, 2]
    assert kept == {(*head, 21, 22, 5, *answer), (*head, *answer)}
    share = sum(len(p.ids) < len(IDS) for p in seen) / len(seen)
    assert share == pytest.approx(objective.LINES_AT_MOST / 2, abs=0.08)


def test_a_hidden_section_is_not_learned_and_all_sections_weigh_the_same():
    torch.manual_seed(0)
    for _ in range(100):
        p = objective.part(IDS, LEARNED)
        first, second = p.weight[-6:-2], p.weight[-2:]
        assert (p.weight[:-6] == 0).all()
        assert float(p.weight.sum()) > 0
        for section, hidden in ((first, p.hidden[-6:-3]), (second, p.hidden[-2:])):
            assert float(section.sum()) == pytest.approx(3.0) or (bool(hidden.all()) and not section.any())


def test_the_prompt_is_what_is_before_the_first_answer():
    torch.manual_seed(0)
    for _ in range(20):
        p = objective.part(IDS, LEARNED)
        assert p.prompt.tolist() == [True] * (len(p.ids) - 6) + [False] * 6


def test_images_are_learned_as_sft_does(made, monkeypatch):
    model, batch = made[0], made[2].batch(made[3], made[3])
    batch.slices = torch.ones(1)
    monkeypatch.setattr(objective.sft, "loss", lambda m, b: "sft")
    assert objective.loss(model, batch) == "sft"


def test_without_noise_micro_batches_add_up(made, monkeypatch):
    model, _, batcher, examples = made
    for name in ("LINES_AT_MOST", "WORDS_AT_MOST", "ANSWER_WORDS", "SECTIONS", "DROPOUT"):
        monkeypatch.setattr(objective, name, 0.0)
    whole = objective.loss(model, batcher.batch(examples, examples)).item()
    halves = [examples[:5], examples[5:]]
    parts = sum(objective.loss(model, batcher.batch(h, examples)).item() for h in halves)
    assert parts == pytest.approx(whole, rel=1e-4)
