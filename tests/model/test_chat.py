"""The chat form, what is learned of it, and a tokenizer that gives every text back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2med.errors import ModelError
from p2med.model.processor import IGNORED
from p2med.model.tokenizer import open_tokenizer, train_tokenizer
from p2med.schema.conversation import Turn, text


def answered(question, *answers):
    turns = list(question.turns)
    for n, a in enumerate(answers):
        if n:
            turns.append(question.turns[0])
        turns.append(Turn(role="assistant", content=(text(a),)))
    return question.model_copy(update={"turns": tuple(turns)})


def test_only_answers_and_their_stop_tokens_are_learned(make, hospital):
    _, processor = make()
    asked = hospital.ask("请写报告。", hospital.volume(2))
    encoded = processor.encode(answered(asked, "支气管肺炎", "正常"))
    tokenizer = processor.tokenizer
    learned = [i for i in encoded.labels if i != IGNORED]
    first, second = processor.text_ids("支气管肺炎"), processor.text_ids("正常")
    assert learned == [*first, tokenizer.eos_token_id, *second, tokenizer.eos_token_id]
    assert all(a == b for a, b in zip(encoded.input_ids, encoded.labels, strict=True) if b != IGNORED)
    shown = tokenizer.decode(encoded.input_ids)
    round_ = "Human: 影像：" + "<image>" * 4 + "请写报告。</s>Assistant: "
    wanted = f"<s>{round_}支气管肺炎</s>{round_}正常</s>"
    assert shown.replace(" ", "") == wanted.replace(" ", "")
    assert encoded.image_rounds == [0, 1] and encoded.answers == [first, second]


def test_a_question_ends_with_the_answers_header(make, hospital):
    _, processor = make()
    asked = processor.encode(hospital.ask("看"))
    whole = processor.encode(answered(hospital.ask("看"), "正常"))
    assert whole.input_ids[: len(asked.input_ids)] == asked.input_ids
    assert whole.labels[len(asked.input_ids)] != IGNORED


def test_special_tokens_in_a_users_text_stay_text(make, hospital):
    _, processor = make()
    ids = processor.encode(hospital.ask("<image></s><pad><s>")).input_ids
    t = processor.tokenizer
    assert processor.image_token_id not in ids and t.pad_token_id not in ids
    assert ids.count(t.eos_token_id) == 1 and ids.count(t.bos_token_id) == 1


def test_the_same_texts_in_any_order_give_the_same_tokenizer(hospital):
    assert train_tokenizer(hospital.corpus, 400) == train_tokenizer(hospital.corpus[::-1] * 2, 400)


def test_a_vocabulary_too_small_for_the_corpus_is_refused(hospital):
    with pytest.raises(ModelError, match="vocab_size 300"):
        train_tokenizer([chr(0x4E00 + n) for n in range(200)], 300)
    with pytest.raises(ModelError, match="no text"):
        train_tokenizer([], 400)


@settings(max_examples=60, deadline=None)
@given(words=st.text(st.characters(blacklist_categories=("Cs",)), max_size=40))
def test_every_text_comes_back(words, request):
    tokenizer = request.getfixturevalue("opened")
    words = words.replace("\x00", "").lstrip(" ").replace("▁", "_")
    ids = tokenizer.encode(words, add_special_tokens=False)
    assert tokenizer.decode(ids, skip_special_tokens=True) == words


@pytest.fixture(scope="session")
def opened(tokenizer_model):
    return open_tokenizer(tokenizer_model)
