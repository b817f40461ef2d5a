"""A classification is printed beside what training's commonest answer would reach."""

import pytest

from p2med.bench.report import write_report
from p2med.bench.table import choice_results
from p2med.schema.conversation import Conversation, Turn, text
from p2med.schema.rating import Answer
from p2med.tasks.classification import TASK

OPTIONS = ("肺炎", "正常")


def conversation(answer: str) -> Conversation:
    turns = (
        Turn(role="user", content=(text("哪一类？"),)),
        Turn(role="assistant", content=(text(answer),)),
    )
    return Conversation(
        conversation_id="c", task="classification", case_id="a", patient_key="p", turns=turns, options=OPTIONS
    )


def answered(n: int, chance: float, truth: str) -> Answer:
    said = OPTIONS[0] if chance > 0.5 else OPTIONS[1]
    return Answer(
        conversation_id=str(n),
        task="classification",
        case_id=str(n),
        text=said,
        sections={},
        reference_sections={},
        answer=said,
        reference_answer=truth,
        probabilities={OPTIONS[0]: chance, OPTIONS[1]: 1 - chance},
    )


def results(chances):
    train = [conversation("正常")] * 2 + [conversation("肺炎")] * 3
    truths = ["肺炎", "肺炎", "正常", "正常"]
    return choice_results(
        [answered(n, c, t) for n, (c, t) in enumerate(zip(chances, truths, strict=True))], train
    )


def test_the_floor_is_the_accuracy_of_the_commonest_training_answer():
    found = {(r.condition, r.metric): r.mean for r in results([0.9, 0.8, 0.1, 0.7])}
    assert found[("constant_report", "accuracy")] == 0.5
    assert found[("true", "accuracy")] == 0.75
    assert found[("true", "auc:肺炎")] == 1.0


@pytest.mark.parametrize(
    "chances, words", [([0.9, 0.8, 0.1, 0.2], " beats "), ([0.4, 0.8, 0.6, 0.7], " does NOT beat ")]
)
def test_the_report_says_whether_the_floor_is_beaten_and_what_others_reached(tmp_path, chances, words):
    found = results(chances)
    write_report(tmp_path, {"classification": TASK}, found, [], tmp_path / "x", ("others: AUC 0.9",))
    said = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert words in said
    assert "others: AUC 0.9" in said
    assert "others: AUC 0.9" in (tmp_path / "report.html").read_text(encoding="utf-8")
