"""A cell of a table, a database or a JSON document as text."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

LOST = "\ufffd"


def text_of(value: Any) -> str:
    """The value as a person would type it; "" for nothing. Bytes that are no text hold a U+FFFD."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _decoded(bytes(value)).strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a number column with gaps becomes floats in many tools
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value).strip()


def _decoded(content: bytes) -> str:
    """Text columns of databases without an encoding arrive as bytes, in China mostly GBK."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return LOST
