"""Several readings of one text, and the answer that they agree on."""

import pytest

from p2med.bench.config import BenchConfig
from p2med.bench.run import _who_answered
from p2med.consensus import Panel, agreed, nearest, readings
from p2med.errors import ModelError
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn, image, text
from p2med.tasks.consultation_record import TASK
from p2med.tasks.question_answering import TASK as PLAIN

LINES = ["当前患儿问诊对话如下：", *(f"患者：第{n}句" for n in range(40)), "按以下格式："]


def conversation(name: str = "a", *images) -> Conversation:
    turn = Turn(role="user", content=(*images, text("\n".join(LINES))))
    return Conversation(
        conversation_id=name, task=TASK.name, case_id="c", patient_key="p", turns=(turn,), language="zh"
    )


def test_the_first_reading_is_the_whole_text_and_the_others_keep_its_ends_and_order():
    found = readings(conversation(), 5)
    assert found[0] == conversation()
    texts = [f.turns[-1].text.split("\n") for f in found[1:]]
    assert len({tuple(t) for t in texts}) == 4
    for lines in texts:
        assert lines[0] == LINES[0] and lines[-1] == LINES[-1]
        assert 8 < len(lines) < 34 and lines == [x for x in LINES if x in set(lines)]
    assert readings(conversation(), 5) == found
    assert readings(conversation("b"), 5)[1].turns != found[1].turns


def test_images_and_single_lines_are_read_as_they_are():
    film = Volume(path="x", shape=(1, 8, 8), dtype="float16", unit="unit_interval")
    assert len(readings(conversation("a", image(film)), 9)) == 1
    for words in ("一行", "两\n行"):
        short = conversation().model_copy(update={"turns": (Turn(role="user", content=(text(words),)),)})
        assert all(r == short for r in readings(short, 3))


def test_each_section_is_agreed_on_by_itself():
    answers = [
        "[主诉]咳嗽3天\n[诊断]小儿肺炎",
        "[主诉]咳嗽三天\n[诊断]小儿支气管炎",
        "[主诉]咳嗽3天余\n[诊断]小儿支气管炎\n[建议]多喝水",
        "[主诉]呕吐\n[诊断]腹泻",
    ]
    assert agreed(TASK, answers) == "[主诉]咳嗽3天\n[诊断]小儿支气管炎"
    assert agreed(TASK, answers[:1]) == answers[0]
    assert agreed(PLAIN, ["可以", "不可以", "可以"]) == "可以"
    assert agreed(TASK, ["没有标题", "没有标题", "别的"]) == "没有标题"


def test_of_equals_the_first_wins_and_an_outlier_never():
    assert nearest(["甲乙", "丙丁"]) == "甲乙"
    assert nearest(["腹泻三天", "咳嗽三天", "咳嗽三天余"]) == "咳嗽三天"
    assert nearest(["x"]) == "x"


class Member:
    """Answers a whole text with its own word, a part of one with 'z'."""

    def __init__(self, word: str, image_spec: int = 0, yes: float = 0.5):
        self.name, self.word, self.image_spec, self.yes = word, word, image_spec, yes

    def answer(self, asked, load, max_new_tokens):
        whole = [c.turns[-1].text.count("\n") > 30 for c in asked]
        return [
            f"[诊断]{c.conversation_id + self.word if w else 'z'}" for c, w in zip(asked, whole, strict=True)
        ]

    def probabilities(self, asked, load):
        return [{"是": self.yes, "否": 1 - self.yes} for _ in asked]


def test_answers_go_back_to_their_conversations():
    asked = [conversation("a"), conversation("b")]
    assert Panel([Member("x")]).answer(TASK, asked, None, 8) == ["[诊断]ax", "[诊断]bx"]
    assert Panel([Member("x")], 9).answer(TASK, asked, None, 8) == ["[诊断]z", "[诊断]z"]
    three = [Member("y"), Member("x"), Member("x")]
    assert Panel(three).answer(TASK, asked, None, 8) == ["[诊断]ax", "[诊断]bx"]


def test_chances_are_the_members_mean():
    panel = Panel([Member("x", yes=0.9), Member("y", yes=0.3)])
    assert panel.probabilities([conversation()], None) == [
        {"是": pytest.approx(0.6), "否": pytest.approx(0.4)}
    ]


def test_members_that_see_differently_are_no_panel():
    with pytest.raises(ModelError, match="prepare images differently"):
        Panel([Member("x"), Member("y", image_spec=1)])


def test_the_report_says_when_the_scores_are_of_several():
    assert _who_answered(BenchConfig()) == []
    (line,) = _who_answered(BenchConfig(members=("record", "record_2"), readings=5))
    assert "and record, record_2, 5 readings" in line
