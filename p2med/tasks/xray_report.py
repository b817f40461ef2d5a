"""Radiology report from chest X-rays (P2Med task 1): AP, or AP and lateral, over time.

   [检查时间]2022年10月29日 [检查方式]X光 [图像]<image>
-> [放射学表现]两肺纹理增多… [放射学诊断]支气管肺炎。
"""

from p2med.schema.terms import Modality
from p2med.tasks._radiology import RadiologyReport


class XrayReport(RadiologyReport):
    name = "xray_report"
    title_zh = "X光影像报告"
    title_en = "X-ray report"
    modality = Modality.DX


TASK = XrayReport()
