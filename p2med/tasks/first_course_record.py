"""First disease course record, by the resident within 24 h of admission (P2Med task 4).

   [现病史]… [体格检查]… [辅助检查]… [病史特点]…
-> [诊断依据]… [入院诊断]重症肺炎 [诊疗计划]…
"""

from p2med.schema.terms import RecordKind, Section
from p2med.tasks._inpatient import BOTH, InpatientRecord
from p2med.tasks.base import Component


class FirstCourseRecord(InpatientRecord):
    name = "first_course_record"
    title_zh = "首次病程记录"
    title_en = "First course record"
    kind = RecordKind.FIRST_COURSE_RECORD
    inputs = (
        Section.HISTORY_OF_PRESENT_ILLNESS,
        Section.PHYSICAL_EXAMINATION,
        Section.AUXILIARY_EXAMINATION,
        Section.CLINICAL_HISTORY_FEATURES,
    )
    components = (
        Component(section=Section.DIAGNOSTIC_BASIS),
        Component(section=Section.ADMISSION_DIAGNOSIS, metrics=BOTH),
        Component(section=Section.DIAGNOSTIC_AND_TREATMENT_PLAN),
    )


TASK = FirstCourseRecord()
