"""The objective that hides words: what is hidden, that micro-batches add up, that answers stay asked for."""

import pytest
import torch
from tiny_training import SPEC, tiny_section, write_mix

from p2med.model.build import build, build_tokenizer
from p2med.train.batch import Batcher
from p2med.train.examples import prepare_examples
from p2med.train.objectives import sft_hidden_words as objective
from p2med.train.objectives.language import text_tokens


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("hidden")
    conversations = [c for c in write_mix(root, ("base",), count=36) if not c.has_image]
    section = tiny_section()
    tokenizer = build_tokenizer(section, {t.text for c in conversations for t in c.turns})
    model, processor = build(section, SPEC, tokenizer)
    examples, _ = prepare_examples(conversations, processor, 512, learns_text=True, task_weights={})
    batcher = Batcher(
        model, lambda v: None, processor.tokenizer.pad_token_id, True, None, 0, torch.device("cpu")
    )
    return model, processor, batcher, examples


def test_the_hidden_id_is_the_tokenizers_unknown(made):
    assert made[1].tokenizer.unk_token_id == objective.UNKNOWN_ID


def test_padding_is_never_hidden_and_shares_are_kept(made):
    model, _, batcher, examples = made
    batch = batcher.batch(examples, examples)
    text = text_tokens(model, batch)
    torch.manual_seed(0)
    hidden = torch.stack([objective.hidden_words(batch, text) for _ in range(200)]).float().mean(0)
    assert not hidden[~batch.attention_mask].any()
    prompt = text & ~batch.learned
    assert hidden[prompt].mean().item() == pytest.approx(objective.PROMPT_AT_MOST / 2, abs=0.04)
    assert hidden[batch.learned].mean().item() == pytest.approx(objective.ANSWER, abs=0.02)


def test_without_noise_it_is_answer_loss_plus_a_part_of_the_prompts(made, monkeypatch):
    model, _, batcher, examples = made
    for name in ("PROMPT_AT_MOST", "ANSWER", "DROPOUT"):
        monkeypatch.setattr(objective, name, 0.0)
    monkeypatch.setattr(objective, "PROMPT_SAMPLED", 1.0)
    model.train()
    whole = objective.loss(model, batcher.batch(examples, examples)).item()
    halves = [examples[:5], examples[5:]]
    parts = sum(objective.loss(model, batcher.batch(h, examples)).item() for h in halves)
    assert parts == pytest.approx(whole, rel=1e-4)
    batch = batcher.batch(examples, examples)
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[:, :-1]
    wanted, answer = batch.input_ids[:, 1:], batch.learned[:, 1:]
    prompt = text_tokens(model, batch)[:, 1:] & ~answer
    mean = [torch.nn.functional.cross_entropy(logits[w], wanted[w]).item() for w in (answer, prompt)]
    assert whole == pytest.approx(mean[0] + objective.PROMPT_WEIGHT * mean[1], rel=1e-3)
