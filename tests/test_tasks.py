"""The tasks against the specification: sections, prompts, rounds, 16 components, 22 scores."""

from datetime import date

import pytest

from p2med import plugins
from p2med.schema.case import Case, Patient, QuestionAnswer, Record, Series, Study, Volume
from p2med.schema.conversation import Conversation
from p2med.schema.terms import Section
from p2med.tasks.base import Question, read_sections, write_sections

PAPER = (
    "xray_report",
    "ct_report",
    "outpatient_record",
    "first_course_record",
    "attending_round_record",
    "chief_round_record",
)
TASKS = {n: plugins.load("p2med.tasks", n).TASK for n in plugins.names("p2med.tasks")}
VOLUME = Volume(path="run:a.npy", shape=(1, 8, 8), dtype="float16", unit="unit_interval")


def study(uid: str, day: date, views: int, modality: str = "DX") -> Study:
    series = tuple(Series(series_uid=f"{uid}.{i}", volume=VOLUME) for i in range(views))
    return Study(study_uid=uid, study_date=day, modality=modality, series=series)


def report(uid: str, findings: str = "两肺纹理增多", impression: str = "支气管肺炎") -> Record:
    return Record(
        record_id=f"r{uid}",
        kind="radiology_report",
        study_uid=uid,
        sections={"findings": findings, "impression": impression},
    )


def case(**parts) -> Case:
    return Case(case_id="c1", source="test", patient=Patient(patient_key="p1"), **parts)


LATER = study("1.1", date(2022, 11, 11), 1)
EARLIER = study("1.2", date(2022, 10, 29), 2)


def test_sixteen_components_and_twenty_two_scores():
    components = [c for name in PAPER for c in TASKS[name].components]
    assert len(components) == 16
    assert sum(len(c.metrics) for c in components) == 22
    assert sum("comprehensiveness" in c.metrics for c in components) == 6


def test_rounds_are_chronological_whatever_the_order_of_the_studies():
    whole = case(studies=(LATER, EARLIER), records=(report("1.1"), report("1.2")))
    (c,) = TASKS["xray_report"].conversations(whole)
    assert [t.role for t in c.turns] == ["user", "assistant"] * 2
    assert "2022年10月29日" in c.turns[0].text and "2022年11月11日" in c.turns[2].text
    assert [len(t.volumes) for t in c.turns] == [2, 0, 1, 0]


def test_a_study_without_a_whole_report_teaches_nothing():
    assert not list(TASKS["xray_report"].conversations(case(studies=(LATER,))))
    half = report("1.1", impression="")
    assert not list(TASKS["xray_report"].conversations(case(studies=(LATER,), records=(half,))))


def test_x_rays_and_cts_do_not_mix():
    ct = study("2.1", date(2022, 10, 30), 2, "CT")
    whole = case(studies=(LATER, ct), records=(report("1.1"), report("2.1", "CT所见")))
    (x,) = TASKS["xray_report"].conversations(whole)
    (c,) = TASKS["ct_report"].conversations(whole)
    assert len(x.volumes) == 1 and len(c.volumes) == 2
    assert "[检查方式]CT" in c.turns[0].text and "[检查方式]X光" in x.turns[0].text


@pytest.mark.parametrize("name", [*PAPER[2:], "consultation_record"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_a_record_task_writes_it_reads(name, language):
    task = TASKS[name]
    sections = {s: f"{s.zh}的内容，第{n}节" for n, s in enumerate((*task.inputs, *task.outputs))}
    record = Record(record_id="r", kind=task.kind, sections=sections)
    (c,) = task.conversations(case(records=(record,)), language)
    assert task.parse(c.turns[1].text) == {s: sections[s] for s in task.outputs}
    assert all(sections[s] in c.turns[0].text for s in task.inputs)
    assert not any(sections[s] in c.turns[0].text for s in task.outputs)
    assert c.turns[0] == task.ask(Question(sections=sections), language)
    assert Conversation.model_validate_json(c.model_dump_json()) == c


@pytest.mark.parametrize("name", PAPER[2:])
def test_a_missing_section_is_named(name):
    task = TASKS[name]
    sections = {s: "有" for s in (*task.inputs, *task.outputs)}
    del sections[task.outputs[0]]
    assert not list(
        task.conversations(case(records=(Record(record_id="r", kind=task.kind, sections=sections),)))
    )
    with pytest.raises(ValueError, match=task.inputs[-1].value):
        task.ask(Question(sections={s: "有" for s in task.inputs[:-1]}))


def test_a_heading_that_is_missing_is_absent_and_a_repeat_keeps_the_first():
    order = (Section.FINDINGS, Section.IMPRESSION)
    assert read_sections("没有标题的回答", order) == {}
    # What de-identification puts for a name is no heading: nothing after it is lost.
    assert read_sections("[放射学表现]由[姓名]阅片，两肺清晰。[放射学诊断]正常", order) == {
        order[0]: "由[姓名]阅片，两肺清晰。",
        order[1]: "正常",
    }
    assert read_sections("【放射学表现】甲[放射学诊断]乙[放射学诊断]丙", order) == {
        Section.FINDINGS: "甲",
        Section.IMPRESSION: "乙",
    }
    text = write_sections({Section.FINDINGS: "a", Section.IMPRESSION: "b"}, order, "en")
    assert read_sections(text, order) == {Section.FINDINGS: "a", Section.IMPRESSION: "b"}


def test_a_choice_lists_its_options_and_needs_two():
    qa = QuestionAnswer(question="", answer="肺炎", choices=("正常", "肺炎"), study_uid="1.1")
    (c,) = TASKS["classification"].conversations(case(studies=(LATER,), questions=(qa,)))
    assert c.options == ("正常", "肺炎") and len(c.volumes) == 1
    assert "正常、肺炎" in c.turns[0].text and c.turns[1].text == "肺炎"
    with pytest.raises(ValueError, match="two options"):
        TASKS["classification"].ask(Question(options=("正常",)))


def test_an_image_task_without_an_image_is_refused():
    with pytest.raises(ValueError, match="needs an image"):
        TASKS["xray_report"].ask(Question())


def test_a_conversation_counts_the_labels_of_its_own_texts():
    """A normal film in a visit for another disease is not a film of that disease (spec 8)."""
    normal = report("1.1", "两肺纹理清晰", "正常").model_copy(update={"diagnoses": ("正常",)})
    whole = case(studies=(LATER,), records=(normal,), diagnoses=("上呼吸道感染", "正常"))
    (c,) = TASKS["xray_report"].conversations(whole)
    assert c.diseases == ("正常",)
