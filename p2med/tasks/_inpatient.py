"""Shared by the three inpatient records (P2Med tasks 4 to 6): opening line and the two plan components."""

from p2med.schema.terms import Metric, Section
from p2med.tasks.base import Component, RecordTask

BOTH = (Metric.ACCURACY, Metric.COMPREHENSIVENESS)


class InpatientRecord(RecordTask):
    opening_zh = "当前住院患儿信息如下："
    opening_en = "Current inpatient pediatric information is as follows:"


class RoundRecord(InpatientRecord):
    """The first ward round of a senior doctor, who adds what the resident did not see."""

    inputs = (Section.CLINICAL_HISTORY_FEATURES, Section.ADDITIONAL_CLINICAL_HISTORY_AND_SIGNS)
    components = (
        Component(section=Section.DIAGNOSTIC_BASIS),
        Component(section=Section.CURRENT_DIAGNOSIS, metrics=BOTH),
        Component(section=Section.DIAGNOSTIC_AND_TREATMENT_PLAN),
    )
