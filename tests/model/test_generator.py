"""The Generator: alone or in a batch the same, streamed characters whole, probabilities that add up."""

import math

import pytest
import torch

from p2med.errors import ModelError
from p2med.model.checkpoint import save_checkpoint
from p2med.model.generate import Generator


@pytest.fixture()
def generator(make, tokenizer_model, hospital, tmp_path):
    model, processor = make(adapter=True)
    save_checkpoint(tmp_path / "stage1", model, tokenizer_model, processor, hospital.spec, {})
    return Generator.load(tmp_path / "stage1", device="cpu")


@pytest.fixture()
def asked(hospital):
    v = hospital.volume
    return [
        hospital.ask("看"),
        hospital.ask("请写报告，" * 6, v(3, 1)),
        hospital.ask("诊断？", v(1, 2), v(2, 3)),
    ]


def test_a_batch_answers_like_each_alone(generator, asked, hospital):
    generator.stop = -1  # an untrained model may stop at once, and then there is nothing to compare
    together = generator.answer(asked, hospital.pixels_of, max_new_tokens=16)
    assert together == [generator.answer([c], hospital.pixels_of, 16)[0] for c in asked]
    assert len(set(together)) == 3 and all(together)


def test_an_answer_ends_at_its_stop_token_and_the_others_go_on(generator, asked, hospital):
    generator.stop = -1
    free = generator.answer(asked, hospital.pixels_of, max_new_tokens=12)
    prompts = [generator.prompt(asked[1], hospital.pixels_of)]
    ids = [token for step in generator.steps(prompts, 12, 0.0, 1.0, 0) for _, token in step]
    generator.stop = ids[6]
    stopped = generator.answer(asked, hospital.pixels_of, max_new_tokens=12)
    assert free[1].startswith(stopped[1]) and len(stopped[1]) < len(free[1])
    assert stopped == [generator.answer([c], hospital.pixels_of, 12)[0] for c in asked]


def test_a_stream_adds_up_to_the_answer(generator, asked, hospital):
    generator.stop = -1
    for c in asked:
        pieces = list(generator.stream(c, hospital.pixels_of, max_new_tokens=16))
        assert len(pieces) > 1
        answer = generator.answer([c], hospital.pixels_of, 16)[0]
        assert "".join(pieces) == answer


def test_a_character_of_several_bytes_is_streamed_whole(generator, asked, hospital, monkeypatch):
    ids = generator.processor.tokenizer.encode("肺龘😀好", add_special_tokens=False)
    assert len(ids) > 7  # byte fallback: 龘 and 😀 are no pieces of this tokenizer
    monkeypatch.setattr(generator, "steps", lambda *_: iter([[(0, i)] for i in ids]))
    pieces = list(generator.stream(asked[0], hospital.pixels_of))
    assert "".join(pieces) == "肺龘😀好" and not any("\ufffd" in p for p in pieces)


def test_a_cancelled_stream_stops(generator, asked, hospital):
    calls = iter([False, False, False])
    pieces = list(generator.stream(asked[0], hospital.pixels_of, 50, cancelled=lambda: next(calls, True)))
    assert len(pieces) <= 3


def test_sampling_repeats_with_its_seed(generator, asked, hospital):
    def draw(seed: int) -> list[str]:
        return generator.answer(asked, hospital.pixels_of, 16, temperature=1.5, top_p=0.95, seed=seed)

    drawn = [draw(seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    nearly_greedy = generator.answer(asked, hospital.pixels_of, 16, temperature=1.0, top_p=1e-9)
    assert nearly_greedy == generator.answer(asked, hospital.pixels_of, 16)


def test_probabilities_are_the_likelihoods_of_the_options(generator, hospital):
    options = ("正常", "支气管肺炎", "x")
    asked = hospital.ask("属于哪一类？", hospital.volume(2, 4), options=options)
    (found,) = generator.probabilities([asked], hospital.pixels_of)
    assert tuple(found) == options and sum(found.values()) == pytest.approx(1, abs=1e-9)
    logs = []
    for option in options:  # the plain way: one uncached pass for each option
        prompt = generator.prompt(asked, hospital.pixels_of)
        answer = [*generator.processor.text_ids(option), generator.stop]
        ids = torch.tensor([prompt.ids + answer])
        with torch.no_grad():
            logits = generator.model(input_ids=ids, image_embeds=torch.stack(prompt.images)).logits
        rows = torch.log_softmax(logits[0, -len(answer) - 1 : -1], dim=-1)
        logs.append(sum(float(rows[n, t]) for n, t in enumerate(answer)))
    total = sum(math.exp(x) for x in logs)
    for option, x in zip(options, logs, strict=True):
        assert found[option] == pytest.approx(math.exp(x) / total, rel=1e-3)


def test_what_cannot_be_answered_is_refused(generator, hospital, make, tokenizer_model, tmp_path):
    with pytest.raises(ModelError, match="takes 255"):
        generator.answer([hospital.ask("肺" * 400)], hospital.pixels_of)
    with pytest.raises(ModelError, match="two options"):
        generator.probabilities([hospital.ask("看", options=("正常",))], hospital.pixels_of)
    model, processor = make(encoder=None, connector=None)
    save_checkpoint(tmp_path / "text", model, tokenizer_model, processor, hospital.spec, {})
    text_only = Generator.load(tmp_path / "text")
    assert text_only.image_spec is None and text_only.answer([hospital.ask("看")], hospital.pixels_of, 3)
    with pytest.raises(ModelError, match="cannot look at images"):
        text_only.answer([hospital.ask("看", hospital.volume(1))], hospital.pixels_of)


def test_tokens_are_counted_with_the_images(generator, hospital):
    bare = generator.count_tokens(hospital.ask("看"))
    assert generator.count_tokens(hospital.ask("看", hospital.volume(3))) >= bare + 4
    assert generator.max_tokens == 256
