"""The vocabulary: every clinical word the code may use, with the word the hospital prints.

Section names follow P2Med Sec. V-A.5 (arXiv:2409.02608); their Chinese headings are the usual headings of
Chinese records (放射学表现 is the one that the paper's Fig. S1 shows).
"""

import re
from collections.abc import Iterator
from enum import unique

from p2med.schema.base import Term


@unique
class Modality(Term):
    """DICOM Modality (0008,0060). CR and DX are both an X-ray to a reader."""

    CR = "CR", "X光", "X-ray"
    DX = "DX", "X光", "X-ray"
    CT = "CT", "CT", "CT"

    @property
    def is_xray(self) -> bool:
        return self is not Modality.CT


@unique
class RecordKind(Term):
    RADIOLOGY_REPORT = "radiology_report", "影像报告"
    OUTPATIENT_RECORD = "outpatient_record", "门诊病历"
    FIRST_COURSE_RECORD = "first_course_record", "首次病程记录"
    ATTENDING_ROUND_RECORD = "attending_round_record", "主治医师首次查房记录"
    CHIEF_ROUND_RECORD = "chief_round_record", "主任医师首次查房记录"
    CONSULTATION = "consultation", "在线问诊"


@unique
class Section(Term):
    EXAMINATION_TIME = "examination_time", "检查时间"
    EXAMINATION_MODALITY = "examination_modality", "检查方式"
    IMAGE = "image", "图像"
    FINDINGS = "findings", "放射学表现"
    IMPRESSION = "impression", "放射学诊断"
    CHIEF_COMPLAINT = "chief_complaint", "主诉"
    HISTORY_OF_PRESENT_ILLNESS = "history_of_present_illness", "现病史"
    PAST_MEDICAL_HISTORY = "past_medical_history", "既往史"
    PHYSICAL_EXAMINATION = "physical_examination", "体格检查"
    AUXILIARY_EXAMINATION = "auxiliary_examination", "辅助检查"
    CLINICAL_HISTORY_FEATURES = "clinical_history_features", "病史特点"
    ADDITIONAL_CLINICAL_HISTORY_AND_SIGNS = (
        "additional_clinical_history_and_signs",
        "补充的病史和体征",
    )
    PRELIMINARY_DIAGNOSIS = "preliminary_diagnosis", "初步诊断"
    TREATMENT_RECOMMENDATION = "treatment_recommendation", "治疗建议"
    TREATMENT_PLAN = "treatment_plan", "治疗方案"
    DIAGNOSTIC_BASIS = "diagnostic_basis", "诊断依据"
    ADMISSION_DIAGNOSIS = "admission_diagnosis", "入院诊断"
    CURRENT_DIAGNOSIS = "current_diagnosis", "目前诊断"
    DIAGNOSTIC_AND_TREATMENT_PLAN = "diagnostic_and_treatment_plan", "诊疗计划"
    DIALOGUE = "dialogue", "问诊对话"
    DIAGNOSIS = "diagnosis", "诊断"
    ADVICE = "advice", "建议"


DIAGNOSES = frozenset(
    {
        Section.IMPRESSION,
        Section.PRELIMINARY_DIAGNOSIS,
        Section.ADMISSION_DIAGNOSIS,
        Section.CURRENT_DIAGNOSIS,
        Section.DIAGNOSIS,
    }
)
"""The sections in which an answer says what the child has."""


@unique
class Metric(Term):
    """What a component is rated for (P2Med Sec. II-A)."""

    ACCURACY = "accuracy", "准确性"
    COMPREHENSIVENESS = "comprehensiveness", "全面性"


SECTION_BY_HEADING: dict[str, Section] = {
    name: s for s in Section for name in (s.value, s.zh, s.en, s.en.lower())
}
"""Every spelling of a section's name: value, Chinese heading, English heading."""

_BRACKETS = re.compile(r"[\[【]([^\[\]【】\n]+)[\]】]")


def split_sections(text: str) -> Iterator[tuple[Section, str]]:
    """`[主诉]咳嗽，[姓名]诉… [诊断]支气管炎` -> (主诉, 咳嗽，[姓名]诉…), (诊断, 支气管炎).

    Takes 【】 and either language. Brackets that hold no section's name, such as what de-identification
    puts for a name, are text like any other.
    """
    headings = [(m, section) for m in _BRACKETS.finditer(text) if (section := _section(m[1].strip()))]
    ends = [heading.start() for heading, _ in headings[1:]] + [len(text)] * bool(headings)
    for (heading, section), end in zip(headings, ends, strict=True):
        yield section, text[heading.end() : end].strip()


def _section(heading: str) -> Section | None:
    return SECTION_BY_HEADING.get(heading) or SECTION_BY_HEADING.get(heading.lower())
