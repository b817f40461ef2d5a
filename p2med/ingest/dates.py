"""Dates as Chinese hospitals write them.

2022-10-29   2022/10/29 08:30   20221029083000   2022年10月29日   44863 (Excel)
"""

import re
from datetime import date, timedelta

from p2med.errors import DataError

_WRITTEN = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{4}(?:\d{2})?(?:\.\d+)?)?(?:[ T].*)?")
_SERIAL = re.compile(r"(\d{5})(?:\.\d+)?")
EXCEL_EPOCH = date(1899, 12, 30)
_AGE = re.compile(r"0*(\d+)\s*(D|W|M|Y|天|周|个?月|岁|)", re.IGNORECASE)
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25, "": 365.25}
_DAYS |= {"天": 1.0, "周": 7.0, "月": 30.4375, "个月": 30.4375, "岁": 365.25}


def read_date(text: str) -> date | None:
    """The day of a written date or time; None when the text is empty.

    Raises:
      DataError: `bad_date`.
    """
    text = text.strip()
    if not text:
        return None
    found = _WRITTEN.match(text) or _COMPACT.fullmatch(text)
    try:
        if found:
            return date(*(int(g) for g in found.groups()[:3]))
        serial = _SERIAL.fullmatch(text)
        if serial:
            return EXCEL_EPOCH + timedelta(days=int(serial[1]))
    except ValueError:
        pass
    raise DataError("bad_date", f"{len(text)} characters that are no date")


def read_age(text: str) -> int | None:
    """A DICOM age in days; a plain number counts years. None when it is something else."""
    found = _AGE.fullmatch(text.strip())
    return round(int(found[1]) * _DAYS[found[2].upper()]) if found else None
