"""The objective that also asks which words an answer has, from the prompt alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_training import SPEC, tiny_section, write_mix

from p2med.errors import RecipeError
from p2med.model.build import build, build_tokenizer
from p2med.model.checkpoint import load_checkpoint, save_checkpoint
from p2med.train import examples as examples_module
from p2med.train.batch import Batcher
from p2med.train.examples import prepare_examples
from p2med.train.objectives import answer_words as objective
from p2med.train.objectives import sft_from_parts


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A text-only model and its examples; nothing left out or hidden, so that a loss is repeatable."""
    for name in ("LINES_AT_MOST", "WORDS_AT_MOST", "ANSWER_WORDS", "SECTIONS", "DROPOUT"):
        monkeypatch.setattr(sft_from_parts, name, 0.0)
    monkeypatch.setattr(objective, "DROPOUT", 0.0)
    conversations = [c for c in write_mix(tmp_path, ("base",), count=36) if not c.has_image]
    section = tiny_section().model_copy(update={"encoder": None, "connector": None})
    tokenizer = build_tokenizer(section, {t.text for c in conversations for t in c.turns})
    model, processor = build(section, SPEC, tokenizer)
    examples, _ = prepare_examples(conversations, processor, 512, learns_text=True, task_weights={})
    words, diseases = objective.targets(examples)
    model.add_report_words(words, diseases, seed=0)
    batcher = Batcher(model, lambda v: None, 3, True, None, 0, torch.device("cpu"))
    return model, processor, tokenizer, batcher, examples


def words_part(model, batch) -> torch.Tensor:
    return objective.loss(model, batch) - sft_from_parts.loss(model, batch)


def test_the_words_are_the_answers_not_the_prompts(made):
    model, _, _, _, examples = made
    learned = {t for e in examples for t in e.input_ids[e.learned].tolist()}
    assert model.config.report_words
    assert set(model.config.report_words) <= learned
    assert model.config.report_diseases == ["右上肺斑片影", "左下肺实变", "未见异常"]


def test_every_word_counts_once_in_the_mean_however_often_it_is_said():
    parts = sft_from_parts.Part(
        ids=torch.tensor([[7, 7, 7, 8, 9]]),
        hidden=torch.tensor([[False, False, False, False, False]]),
        weight=torch.zeros(1, 5),
        prompt=torch.tensor([[True, True, True, True, False]]),
    )
    states = torch.tensor([[[0.0], [3.0], [6.0], [1.0], [100.0]]])
    assert objective.mean_of_words(parts, states).item() == pytest.approx((3 + 1) / 2)


def test_a_diagnosis_given_once_asks_for_nothing(made):
    model, _, _, batcher, examples = made
    batch = batcher.batch(examples[:1], examples[:1])
    known = objective.loss(model, batch).item()
    batch.conclusions = ["脐疝。"]
    unknown = objective.loss(model, batch).item()
    batch.conclusions = [next(d for d in model.config.report_diseases if d != examples[0].conclusions[-1])]
    assert unknown < known and unknown < objective.loss(model, batch).item()


@pytest.mark.parametrize(
    ("answer", "conclusion"),
    [
        ("[主诉]咳嗽3天。\n[诊断]支气管炎。\n[建议]多饮水。", "支气管炎。"),
        ("[Findings]Clear lungs.\n[Impression]Normal.", "Normal."),
        ("[治疗建议]雾化。", "雾化。"),
        ("[诊断]支气管炎，[姓名]已告知。\n[建议]多饮水。", "支气管炎，[姓名]已告知。"),
        ("正常", "正常"),
    ],
)
def test_the_conclusion_is_the_diagnosis_wherever_it_stands(answer, conclusion):
    assert examples_module._conclusion(answer) == conclusion


def test_the_head_learns_and_reads_nothing_but_the_prompt(made):
    model, _, _, batcher, examples = made
    before = words_part(model, batcher.batch(examples, examples)).item()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        objective.loss(model, batcher.batch(examples, examples)).backward()
        optimizer.step()
        optimizer.zero_grad()
    batch = batcher.batch(examples, examples)
    after = words_part(model, batch)
    assert after.item() < 0.5 * before, (before, after.item())
    asked = model.get_input_embeddings().weight
    asked.grad = None
    after.backward()
    only_in_answers = set(batch.input_ids[batch.learned].tolist()) - set(
        batch.input_ids[~batch.learned & batch.attention_mask].tolist()
    )
    # The weights are not tied here: an answer's word has a gradient only where its embedding was read.
    words = torch.tensor(sorted(only_in_answers))
    assert len(words) and float(asked.grad[words].abs().max()) < 1e-6
    assert float(asked.grad.abs().max()) > 1e-6


def test_micro_batches_add_up(made):
    model, _, _, batcher, examples = made
    whole = objective.loss(model, batcher.batch(examples, examples)).item()
    parts = sum(
        objective.loss(model, batcher.batch(h, examples)).item() for h in (examples[:5], examples[5:])
    )
    assert parts == pytest.approx(whole, rel=1e-4)


def test_the_head_is_in_the_checkpoint(made, tmp_path):
    model, processor, tokenizer, batcher, examples = made
    save_checkpoint(tmp_path / "c", model, tokenizer, processor, SPEC, {})
    again = load_checkpoint(tmp_path / "c").model
    batch = batcher.batch(examples, examples)
    assert words_part(again, batch).item() == pytest.approx(words_part(model, batch).item())


def test_images_are_refused(made):
    example = replace(made[4][0], volumes=("a volume",), input_ids=np.array([1], dtype=np.int32))
    with pytest.raises(RecipeError, match="answer_words is for text"):
        objective.targets([example])
