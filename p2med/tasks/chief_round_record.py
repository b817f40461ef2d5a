"""Chief physician's first ward round record, within a week (P2Med task 6).

   [病史特点]… [补充的病史和体征]…
-> [诊断依据]… [目前诊断]支原体肺炎 [诊疗计划]…
"""

from p2med.schema.terms import RecordKind
from p2med.tasks._inpatient import RoundRecord


class ChiefRoundRecord(RoundRecord):
    name = "chief_round_record"
    title_zh = "主任医师首次查房记录"
    title_en = "Chief round record"
    kind = RecordKind.CHIEF_ROUND_RECORD


TASK = ChiefRoundRecord()
