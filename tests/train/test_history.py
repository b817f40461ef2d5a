"""Noisy history: only earlier answers change, only the last answer is learned then."""

import numpy as np
import pytest
import torch
from tiny_training import SPEC, tiny_section

from p2med.model.build import build
from p2med.model.tokenizer import train_tokenizer
from p2med.schema.conversation import Conversation, Turn, text
from p2med.train.batch import Batcher
from p2med.train.examples import prepare_examples
from p2med.train.history import with_noisy_history
from p2med.train.objectives.language import text_tokens


@pytest.fixture()
def example_and_processor():
    from_words = ["第一次看片。", "右肺肺炎。", "复查。", "较前吸收。", "再次复查。", "正常。"]
    model, processor = build(tiny_section(), SPEC, train_tokenizer(from_words, 400))
    turns = tuple(
        Turn(role=("user", "assistant")[n % 2], content=(text(w),)) for n, w in enumerate(from_words)
    )
    c = Conversation(conversation_id="c", task="xray_report", case_id="c", patient_key="p", turns=turns)
    (example,), _ = prepare_examples([c], processor, 160, True, {})
    return example, processor, model


def test_only_earlier_answers_become_noise(example_and_processor):
    example, processor, _ = example_and_processor
    random = np.random.default_rng(0)
    noisy = with_noisy_history(example, 1.0, 300, random)
    ids = processor.tokenizer
    kept = noisy.input_ids[~noisy.noise]
    shown = processor.text_of([i for i in kept.tolist() if i != ids.eos_token_id])
    for question in ("第一次看片。", "复查。", "再次复查。"):
        assert question in shown
    assert "右肺肺炎" not in shown and "较前吸收" not in shown
    learned = noisy.input_ids[noisy.learned].tolist()
    assert learned == [*processor.text_ids("正常。"), ids.eos_token_id]
    stops = (example.input_ids == ids.eos_token_id).sum()
    assert (noisy.input_ids == ids.eos_token_id).sum() == stops
    assert noisy.noise.sum() >= 2 and (noisy.input_ids[noisy.noise] >= 5).all()


def test_a_share_of_zero_or_a_single_round_changes_nothing(example_and_processor):
    example, _, _ = example_and_processor
    assert with_noisy_history(example, 0.0, 300, np.random.default_rng(0)) is example
    first = np.flatnonzero(example.learned)
    single = np.zeros_like(example.learned)
    single[first[-3:]] = True
    alone = type(example)(**{**example.__dict__, "learned": single})
    assert with_noisy_history(alone, 1.0, 300, np.random.default_rng(0)) is alone


def test_noise_is_never_a_text_to_learn(example_and_processor):
    example, _, model = example_and_processor
    noisy = with_noisy_history(example, 1.0, 300, np.random.default_rng(1))
    batcher = Batcher(model, lambda v: None, 3, True, None, 0.0, torch.device("cpu"))
    batch = batcher.batch([noisy], [noisy])
    assert batch.noise.sum() == noisy.noise.sum()
    assert not (text_tokens(model, batch) & batch.noise).any()
