"""A pediatric consultation's dialogue written up as a record of six sections (the IMCS-21 report form).

   [问诊对话]患者：宝宝咳嗽三天了… 医生：…
-> [主诉]咳嗽3天。 [现病史]… [辅助检查]… [既往史]… [诊断]支气管炎。 [建议]…
"""

from p2med.schema.terms import RecordKind, Section
from p2med.tasks.base import Component, RecordTask


class ConsultationRecord(RecordTask):
    name = "consultation_record"
    title_zh = "问诊病历"
    title_en = "Consultation record"
    kind = RecordKind.CONSULTATION
    opening_zh = "当前患儿问诊对话如下："
    opening_en = "The current pediatric consultation is as follows:"
    inputs = (Section.DIALOGUE,)
    components = (
        Component(section=Section.CHIEF_COMPLAINT),
        Component(section=Section.HISTORY_OF_PRESENT_ILLNESS),
        Component(section=Section.AUXILIARY_EXAMINATION),
        Component(section=Section.PAST_MEDICAL_HISTORY),
        Component(section=Section.DIAGNOSIS),
        Component(section=Section.ADVICE),
    )


TASK = ConsultationRecord()
