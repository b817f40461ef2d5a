"""In which order the slices of a CT series lie, and whether they make a volume: pure functions on headers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2med.errors import DataError
from p2med.imaging.header import Header
from p2med.imaging.pixels import OrderRule

SAME_POSITION_MM = 0.01
SAME_DIRECTION = 1e-3
SAME_SPACING = 1e-3
EVEN = 0.1
"""Distances between neighbours may differ by this part of the smallest."""
MAX_DRIFT_PIXELS = 1.0
"""How far, over the whole series, slices may slide within their plane."""
MIN_AXIAL = 0.7
"""Cosine between the slices' normal and the body's axis."""


@dataclass(frozen=True)
class Order:
    """`places[i]`: where slice i belongs, bottom (feet) first; slices at one place are copies of each other.

    gaps_mm: float[D-1], empty when the distances are not known.
    """

    places: np.ndarray
    rule: OrderRule
    gaps_mm: np.ndarray

    @property
    def depth(self) -> int:
        return int(self.places.max()) + 1

    @property
    def even(self) -> bool:
        return not len(self.gaps_mm) or bool(np.ptp(self.gaps_mm) <= EVEN * self.gaps_mm.min())


def order_slices(headers: Sequence[Header]) -> Order:
    """Order slices along the normal of their plane; without positions by SliceLocation, then InstanceNumber.

    Raises:
      DataError: `mixed_shape`, `mixed_pixel_spacing`, `mixed_kernel`, `mixed_orientation`,
        `not_axial`, `gantry_tilt`, `shifted_slices`, `missing_slices`, `mixed_spacing`, `order_unknown`.
    """
    _check_same(headers)
    keys, rule = _keys(headers)
    order = np.argsort(keys, kind="stable")
    gaps = np.diff(keys[order])
    apart = gaps >= SAME_POSITION_MM
    places = np.empty(len(headers), int)
    places[order] = np.concatenate([[0], np.cumsum(apart)])
    # Of several at one place the first in the order decides; their distances to the next are the same.
    gaps = gaps[apart]
    _check_gaps(gaps)
    return Order(places, rule, gaps if rule in ("image_position_patient", "slice_location") else gaps[:0])


def _check_same(headers: Sequence[Header]) -> None:
    first = headers[0]
    if any((h.rows, h.columns) != (first.rows, first.columns) for h in headers):
        raise DataError("mixed_shape", "the slices of one series differ in rows or columns")
    spacings = [h.pixel_spacing_mm for h in headers]
    if any((s is None) != (spacings[0] is None) for s in spacings):
        raise DataError("mixed_pixel_spacing", "only some slices have a pixel spacing")
    known = np.array([s for s in spacings if s])
    if len(known) and (np.abs(known / known[0] - 1) > SAME_SPACING).any():
        raise DataError("mixed_pixel_spacing", "the slices of one series differ in pixel spacing")
    if len({h.convolution_kernel for h in headers}) > 1:
        raise DataError("mixed_kernel", "two reconstructions in one series")


def _keys(headers: Sequence[Header]) -> tuple[np.ndarray, OrderRule]:
    orientations = [h.orientation for h in headers if h.orientation is not None]
    if orientations:
        directions = np.array(orientations)
        if np.abs(directions - directions[0]).max() > SAME_DIRECTION:
            raise DataError("mixed_orientation", "the slices of one series lie in different planes")
        normal = upward_normal(directions[0])
        positions = [h.position for h in headers if h.position is not None]
        if normal is not None and len(positions) == len(orientations) == len(headers):
            _check_drift(np.array(positions), normal, headers[0])
            if len(headers) == 1:
                return np.zeros(1), "single"
            return _along(np.array(positions), normal), "image_position_patient"
    if len(headers) == 1:
        return np.zeros(1), "single"
    if any(h.gantry_tilt_degrees for h in headers):
        raise DataError("gantry_tilt", "a tilted gantry, and no positions that tell how the slices lie")
    locations = [h.slice_location for h in headers if h.slice_location is not None]
    if len(locations) == len(headers):
        return np.array(locations), "slice_location"
    counted = [h.instance_number for h in headers if h.instance_number is not None]
    if len(counted) == len(headers):
        return np.array(counted, float), "instance_number"
    raise DataError("order_unknown", "no position, slice location or instance number in every slice")


def upward_normal(directions: np.ndarray) -> np.ndarray | None:
    """Unit normal of a slice that points to the head; None when the directions make no plane.

    Args:
      directions: float[6], ImageOrientationPatient.

    Raises:
      DataError: `not_axial`, the model has seen axial slices only.
    """
    normal = np.cross(directions[:3], directions[3:])
    length = float(np.sqrt((normal * normal).sum()))
    if length < 0.5:
        return None
    normal = normal / length
    if abs(normal[2]) < MIN_AXIAL:
        raise DataError("not_axial", "a sagittal or coronal reformation")
    return normal if normal[2] > 0 else -normal


def _along(positions: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """float64[n]: how far positions [n, 3] lie along the normal; `@` would add as the processor likes."""
    return (positions * normal).sum(axis=1)


def _check_drift(positions: np.ndarray, normal: np.ndarray, header: Header) -> None:
    """Slices of a tilted gantry slide within their plane: stacked as they are they would be sheared."""
    moved = positions - positions[0]
    along = _along(moved, normal)
    aside = moved - along[:, None] * normal
    pixel = min(header.pixel_spacing_mm) if header.pixel_spacing_mm else 1.0
    if np.linalg.norm(aside, axis=1).max(initial=0) <= MAX_DRIFT_PIXELS * pixel:
        return
    slope = along @ aside / max(float(along @ along), 1e-9)
    straight = np.linalg.norm(aside - along[:, None] * slope, axis=1).max() <= MAX_DRIFT_PIXELS * pixel
    if straight:
        degrees = float(np.degrees(np.arctan(np.linalg.norm(slope))))
        raise DataError("gantry_tilt", f"{degrees:.1f} degrees; the stacked slices would be sheared")
    raise DataError("shifted_slices", "the field of view moves between the slices")


def _check_gaps(gaps: np.ndarray) -> None:
    """Never guess what lay between: a missing slice is not made up.

    Raises:
      DataError: `missing_slices`, `mixed_spacing`.
    """
    if not len(gaps) or np.ptp(gaps) <= EVEN * gaps.min():
        return
    steps = gaps / gaps.min()
    whole = np.abs(steps - np.rint(steps)) <= EVEN
    if whole.all():
        raise DataError("missing_slices", f"{int((np.rint(steps) - 1).sum())} missing among {len(gaps) + 1}")
    raise DataError("mixed_spacing", "the distances between neighbouring slices differ")


def to_standard(directions: np.ndarray) -> tuple[bool, bool, bool]:
    """How slices become upright: (transpose, then flip rows, then flip columns).

    Afterwards columns run to the patient's left and rows to the back, as in ImageOrientationPatient
    1 0 0 0 1 0; nothing is resampled.

    Args:
      directions: float[6], ImageOrientationPatient of an axial slice.
    """
    row, column = directions[:3], directions[3:]
    transpose = abs(row[0]) < abs(row[1])
    if transpose:
        row, column = column, row
    return bool(transpose), bool(column[1] < 0), bool(row[0] < 0)
