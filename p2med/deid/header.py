"""The header's allow-list: the few technical facts that schema.Series has fields for, each validated.

What has no field cannot leak; what fails its validator becomes None, never a raw value.
"""

import re

from p2med.imaging.header import Header

VIEWS = {"AP": "AP", "PA": "PA", "LL": "LL", "RL": "RL", "LAT": "LL", "LATERAL": "LL"}
KERNEL = re.compile(
    r"(?:[A-Z]{1,2}\d{2,3}[a-z]{0,2}(?:[\\/]\d)?|LUNG|BONE|BONEPLUS|STANDARD|STND|SOFT|CHEST|DETAIL|EDGE|FC\d{2}|[A-L]{1,2})"
)
LONGEST_KERNEL = 12


def view_position(value: str | None) -> str | None:
    """AP, PA, LL or RL."""
    return VIEWS.get((value or "").strip().upper())


def convolution_kernel(value: str | None) -> str | None:
    """A vendor's kernel code such as B60f, LUNG or FC51; anything longer or freer is dropped."""
    text = (value or "").strip()
    return text if len(text) <= LONGEST_KERNEL and KERNEL.fullmatch(text) else None


def slice_thickness_mm(value: float | None) -> float | None:
    return round(value, 3) if value is not None and 0 < value <= 50 else None


def spacing_mm(value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
    if value is None or not all(0 < v <= 100 for v in value):
        return None
    z, y, x = (round(v, 4) for v in value)
    return z, y, x


def technical_facts(header: Header | None) -> dict[str, object]:
    """The fields of schema.Series that come from a header."""
    if header is None:
        return {}
    return {
        "view_position": view_position(header.view_position),
        "contrast": bool(header.contrast),
        "slice_thickness_mm": slice_thickness_mm(header.slice_thickness_mm),
        "convolution_kernel": convolution_kernel(header.convolution_kernel),
    }
