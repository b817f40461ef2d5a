"""The hospital's exports: tables with its own headings, in the encodings that its systems write.

门诊病历.csv (GB18030, line breaks inside quotes)      影像报告.csv (UTF-8 with BOM)
患者信息.xlsx  首次病程记录.xlsx  主治医师查房记录.xlsx  主任医师查房记录.xlsx
"""

import csv
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import xlsxwriter

from p2med.store import TEMPORARY_SUFFIX

ROUND = "住院号 病案号 姓名 查房时间 病史特点 补充病史及体征 诊断依据 目前诊断 诊疗计划 医师".split()
TABLES: dict[str, list[str]] = {
    "患者信息.xlsx": "病案号 姓名 性别 出生日期 身份证号 家长姓名 联系电话 家庭住址".split(),
    "门诊病历.csv": (
        "门诊号 病案号 姓名 就诊日期 科室 主诉 现病史 既往史 体格检查 初步诊断 治疗建议 处理意见 医师"
    ).split(),
    "影像报告.csv": "检查号 就诊号 病案号 姓名 检查日期 检查类型 检查部位 影像表现 影像诊断 报告医师".split(),
    "首次病程记录.xlsx": (
        "住院号 病案号 姓名 记录时间 现病史 体格检查 辅助检查 病史特点 诊断依据 入院诊断 诊疗计划 医师"
    ).split(),
    "主治医师查房记录.xlsx": ROUND,
    "主任医师查房记录.xlsx": ROUND,
}
ENCODING = {"门诊病历.csv": "gb18030", "影像报告.csv": "utf-8-sig"}
# An XLSX carries its creation time; a fixed one keeps the bytes a function of the seed.
CREATED = datetime(2024, 1, 1)
Row = dict[str, str]


class Exports:
    """Writes every table row by row, so memory does not grow with the hospital; renamed when closed."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._csv = {}
        self._xlsx = {}
        for name, headings in TABLES.items():
            temporary = self._temporary(name)
            if name.endswith(".csv"):
                file = open(temporary, "w", encoding=ENCODING[name], newline="")
                writer = csv.DictWriter(file, headings, lineterminator="\r\n")
                writer.writeheader()
                self._csv[name] = (file, writer)
            else:
                book = xlsxwriter.Workbook(temporary, {"constant_memory": True})
                book.set_properties({"created": CREATED})
                sheet = book.add_worksheet("导出")
                sheet.write_row(0, 0, headings)
                self._xlsx[name] = [book, sheet, 0]

    def _temporary(self, name: str) -> str:
        return str(self.folder / (name + TEMPORARY_SUFFIX))

    def add(self, name: str, rows: Iterable[Row]) -> None:
        for row in rows:
            if name in self._csv:
                self._csv[name][1].writerow(row)
            else:
                state = self._xlsx[name]
                state[2] += 1
                state[1].write_row(state[2], 0, [row[h] for h in TABLES[name]])

    def close(self) -> None:
        for file, _ in self._csv.values():
            file.close()
        for book, _, _ in self._xlsx.values():
            book.close()
        for name in TABLES:
            os.replace(self._temporary(name), self.folder / name)
