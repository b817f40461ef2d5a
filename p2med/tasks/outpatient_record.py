"""Outpatient medical record (P2Med task 3, Sec. V-A.5).

   [主诉]咳嗽伴发热4天 [现病史]… [体格检查]…
-> [初步诊断]急性支气管肺炎 [治疗建议]… [治疗方案]…
"""

from p2med.schema.terms import Metric, RecordKind, Section
from p2med.tasks.base import Component, RecordTask


class OutpatientRecord(RecordTask):
    name = "outpatient_record"
    title_zh = "门诊病历"
    title_en = "Outpatient record"
    kind = RecordKind.OUTPATIENT_RECORD
    opening_zh = "当前门诊患儿信息如下："
    opening_en = "Current outpatient pediatric information is as follows:"
    inputs = (Section.CHIEF_COMPLAINT, Section.HISTORY_OF_PRESENT_ILLNESS, Section.PHYSICAL_EXAMINATION)
    components = (
        Component(section=Section.PRELIMINARY_DIAGNOSIS, metrics=(Metric.ACCURACY, Metric.COMPREHENSIVENESS)),
        Component(section=Section.TREATMENT_RECOMMENDATION),
        Component(section=Section.TREATMENT_PLAN),
    )


TASK = OutpatientRecord()
