"""Look-up tables of a radiograph: the detector's values -> grey values (PS3.3 C.11.1, C.11.2)."""

import numpy as np
from pydicom.dataset import Dataset

from p2med.errors import DataError
from p2med.imaging.header import integer, multiple


def has_table(dataset: Dataset, sequence: str) -> bool:
    """True when `sequence` (ModalityLUTSequence, VOILUTSequence) holds an item."""
    return bool(dataset.get(sequence))


def through_table(values: np.ndarray, dataset: Dataset, sequence: str) -> tuple[np.ndarray, int]:
    """Apply the first table of a sequence; values beyond its ends take the end's value.

    Args:
      values: int32[H, W].

    Returns:
      int32[H, W] and the bits of an entry.

    Raises:
      DataError: `lut_not_supported`, the table does not fit its own description.
    """
    try:
        item = dataset.get(sequence)[0]
        entries, first, bits = (integer(v) for v in multiple(item.get("LUTDescriptor")))
        data = item.get("LUTData")
        table = np.frombuffer(data, np.uint16) if isinstance(data, bytes) else np.array(multiple(data))
    except (Exception, RecursionError) as error:  # a malformed item may raise anything when it is read
        raise DataError("lut_not_supported", f"a table that cannot be read: {type(error).__name__}") from None
    entries = entries or 65536  # 0 stands for 2^16
    if first is None or bits is None or not 8 <= bits <= 16:
        raise DataError("lut_not_supported", "a table without a proper description")
    if bits == 8 and len(table) * 2 == entries:  # two 8-bit entries in a word
        table = table.astype("<u2").view(np.uint8)
    table = table.astype(np.int64) & 0xFFFF
    if len(table) != entries or int(table.max()) >> bits:
        raise DataError(
            "lut_not_supported", f"{len(table)} entries instead of {entries}, or more bits than {bits}"
        )
    if first > 32767 and values.min() < 0:
        first -= 65536
    return table[np.clip(values - first, 0, entries - 1)].astype(np.int32), bits
