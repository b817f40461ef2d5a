"""Radiology report from chest CT (P2Med task 2): non-contrast, or non-contrast and enhanced, over time.

   [检查时间]2022年10月29日 [检查方式]CT [图像]<image><image>
-> [放射学表现]右肺下叶见片状高密度影… [放射学诊断]右肺下叶肺炎。
"""

from p2med.schema.terms import Modality
from p2med.tasks._radiology import RadiologyReport


class CtReport(RadiologyReport):
    name = "ct_report"
    title_zh = "CT影像报告"
    title_en = "CT report"
    modality = Modality.CT


TASK = CtReport()
