"""Attending physician's first ward round record, within 72 h (P2Med task 5).

   [病史特点]… [补充的病史和体征]…
-> [诊断依据]… [目前诊断]支气管肺炎 [诊疗计划]…
"""

from p2med.schema.terms import RecordKind
from p2med.tasks._inpatient import RoundRecord


class AttendingRoundRecord(RoundRecord):
    name = "attending_round_record"
    title_zh = "主治医师首次查房记录"
    title_en = "Attending round record"
    kind = RecordKind.ATTENDING_ROUND_RECORD


TASK = AttendingRoundRecord()
