"""A free text is split at its headings, and only there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2med.ingest.headings import headings
from p2med.ingest.sections import split
from p2med.schema.terms import RecordKind, Section

OUT, FIRST = RecordKind.OUTPATIENT_RECORD, RecordKind.FIRST_COURSE_RECORD
NOTE = (
    "儿科门诊病历\n姓名：林小豆 性别：男\n主  诉：咳嗽4天，发热1天。"
    "现病史：患儿4天前咳嗽，外院诊断：肺炎，予治疗：头孢。既往史：体健。个人史：足月顺产。\n"
    "【体格检查】T 38.5℃，咽红。\n辅助检查：\n血常规：WBC 12×10^9/L。\n"
    "初步诊断：1.支气管肺炎\n2.发热\n处理：口服药物\n医师签名：周大夫"
)


def test_a_note_is_split_into_the_sections_that_it_prints():
    assert split(NOTE, OUT) == {
        Section.CHIEF_COMPLAINT: "咳嗽4天，发热1天。",
        Section.HISTORY_OF_PRESENT_ILLNESS: "患儿4天前咳嗽，外院诊断：肺炎，予治疗：头孢。",
        Section.PAST_MEDICAL_HISTORY: "体健。",
        Section.PHYSICAL_EXAMINATION: "T 38.5℃，咽红。",
        Section.AUXILIARY_EXAMINATION: "血常规：WBC 12×10^9/L。",
        Section.PRELIMINARY_DIAGNOSIS: "1.支气管肺炎\n2.发热",
        Section.TREATMENT_PLAN: "口服药物",
    }
    assert "周大夫" not in str(split(NOTE, OUT)) and "林小豆" not in str(split(NOTE, OUT))


def test_the_kind_of_record_decides_what_a_heading_means():
    course = (
        "患儿因咳嗽入院。病例特点如下：1.起病急。诊断依据：发热。\n鉴别诊断：结核。\n诊疗计划：抗感染。\n"
        "初步诊断：肺炎"
    )
    assert split(course, FIRST) == {
        Section.CLINICAL_HISTORY_FEATURES: "1.起病急。",
        Section.DIAGNOSTIC_BASIS: "发热。",
        Section.DIAGNOSTIC_AND_TREATMENT_PLAN: "抗感染。",
        Section.ADMISSION_DIAGNOSIS: "肺炎",
    }
    report = "检查方法：平扫\n影像所见：两肺纹理增多。\n诊断意见：支气管炎"
    assert split(report, RecordKind.RADIOLOGY_REPORT) == {
        Section.FINDINGS: "两肺纹理增多。",
        Section.IMPRESSION: "支气管炎",
    }


def test_a_hospitals_own_heading_can_be_added():
    text = "来诊原因：咳嗽\n过敏史：青霉素"
    assert split(text, OUT) == {}
    own = {"来诊原因": Section.CHIEF_COMPLAINT, "过敏史": Section.PAST_MEDICAL_HISTORY}
    assert split(text, OUT, own) == {Section.CHIEF_COMPLAINT: "咳嗽", Section.PAST_MEDICAL_HISTORY: "青霉素"}


@pytest.mark.parametrize("text", ["", "无标题的一段话", "外院诊断：肺炎", "建议复诊，处理：无"])
def test_a_text_without_headings_has_no_sections(text):
    assert split(text, OUT) == {}


contents = st.text("咳嗽发热两天，患儿无。1.2 \n", min_size=1, max_size=30).filter(lambda t: t.strip())


@given(
    st.dictionaries(st.sampled_from(["主诉", "现病史", "既往史", "体格检查"]), contents),
    st.sampled_from(["：", ":"]),
)
def test_what_is_printed_is_read_back(sections, colon):
    text = "\n".join(f"{h}{colon}{t}" for h, t in sections.items())
    assert list(split(text, OUT).values()) == [t.strip() for t in sections.values()]


def test_every_heading_means_something_that_exists():
    fields = {
        "patient_id",
        "patient_name",
        "sex",
        "birth_date",
        "id_number",
        "guardian_name",
        "phone",
        "address",
    }
    fields |= {"visit_number", "authored_on", "doctor_name", "accession_number", "modality", "text", "other"}
    kinds = {k.value for k in RecordKind}
    for h in headings():
        assert h.means in fields | {s.value for s in Section} and h.kinds <= kinds, h
