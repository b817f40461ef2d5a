"""A DICOM series -> one array in HU or stored grey values, slices in order; technical facts only.

CT, 33 files -> int16[33, 512, 512], HU, spacing (8.0, 0.78, 0.78), sorted by ImagePositionPatient
CR, 1 file   -> uint16[1, 1024, 1024], stored, bright = dense
"""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from p2med.errors import DataError
from p2med.imaging.decode import decode_ct, decode_radiograph, names_pixel_data
from p2med.imaging.header import ENHANCED_CT, Header, Source, number, numbers, parse, technical
from p2med.imaging.pixels import OrderRule, Pixels
from p2med.imaging.source import read_bytes

SAME_POSITION_MM = 0.01
SAME_DIRECTION = 1e-3


def read_header(source: Source) -> Header:
    """The technical facts of one file, without its pixels.

    Raises:
      DataError: see header.parse and header.technical.
    """
    return technical(parse(source, pixels=False))


def read_series(sources: Sequence[Source]) -> Pixels:
    """Read the files of one series, in any order.

    Raises:
      DataError: with the reasons of header.py and decode.py, and of the series as a whole: `no_files`,
        `mixed_modality`, `mixed_shape`, `mixed_orientation`, `localizer`, `duplicate_position`,
        `order_unknown`, `several_radiographs`, `multi_frame_ct`.
    """
    if not sources:
        raise DataError("no_files", "the series has no file")
    headers: list[Header] = []
    arrays: list[np.ndarray] = []
    for source in sources:
        found, array = _read_instance(source)
        if headers and (found[0].rows, found[0].columns) != (headers[0].rows, headers[0].columns):
            raise DataError("mixed_shape", "the slices of one series differ in rows or columns")
        headers += found
        arrays.append(array)
    if len({h.modality for h in headers}) > 1:
        raise DataError("mixed_modality", "the files of one series differ in modality")
    if headers[0].modality != "CT":
        if len(headers) > 1:
            raise DataError("several_radiographs", f"{len(headers)} images in one series")
        pixel = headers[0].pixel_spacing_mm
        spacing = (1.0, *pixel) if pixel else None
        return Pixels(arrays[0], "stored", spacing, headers[0])
    order, rule, gaps = slice_order(headers)
    stack = np.concatenate(arrays)[order] if len(headers) > 1 else arrays[0]
    first = headers[order[0]]
    even = not len(gaps) or float(gaps.max() - gaps.min()) <= 0.1 * float(np.median(gaps))
    return Pixels(stack, "HU", _spacing(first, gaps), first, rule, even)


def _read_instance(source: Source) -> tuple[list[Header], np.ndarray]:
    blob = source if isinstance(source, bytes) else read_bytes(os.fspath(source))
    dataset = parse(blob)
    try:
        header = technical(dataset)
    except DataError as error:
        # pydicom drops the whole data set when compressed pixel data lacks its end.
        if error.reason != "not_an_image" or not names_pixel_data(blob):
            raise
        technical(parse(blob, pixels=False))
        raise DataError("pixel_data_truncated", "the file ends inside the pixel data") from None
    if header.modality != "CT":
        return [header], decode_radiograph(dataset, header, blob)
    if header.is_localizer:
        raise DataError("localizer", "a scout view, not a slice")
    frames = [header]
    if header.sop_class_uid == ENHANCED_CT:
        frames = _frame_headers(dataset, header)
    elif header.frames > 1:
        raise DataError("multi_frame_ct", "several frames, and no positions for them")
    return frames, decode_ct(dataset, frames, blob)


def _frame_headers(dataset: Dataset, header: Header) -> list[Header]:
    """Enhanced CT: geometry and rescale of each frame (DICOM PS3.3 C.7.6.16)."""
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    if len(groups) != header.frames:
        raise DataError("order_unknown", f"{len(groups)} functional groups for {header.frames} frames")
    headers = []
    for group in groups:

        def macro(name: str, group: Dataset = group) -> Dataset:
            items = group.get(name) or shared.get(name)
            return items[0] if items else Dataset()

        values = macro("PixelValueTransformationSequence")
        slope, intercept = number(values.get("RescaleSlope")), number(values.get("RescaleIntercept"))
        measures = macro("PixelMeasuresSequence")
        spacing = numbers(measures.get("PixelSpacing"), 2)
        kernel = macro("CTReconstructionSequence").get("ConvolutionKernel")
        headers.append(
            replace(
                header,
                rescale=header.rescale if intercept is None else (slope or 1.0, intercept),
                position=numbers(macro("PlanePositionSequence").get("ImagePositionPatient"), 3),
                orientation=numbers(macro("PlaneOrientationSequence").get("ImageOrientationPatient"), 6),
                pixel_spacing_mm=(spacing[0], spacing[1]) if spacing else header.pixel_spacing_mm,
                slice_thickness_mm=number(measures.get("SliceThickness")) or header.slice_thickness_mm,
                convolution_kernel=str(kernel) if kernel else header.convolution_kernel,
            )
        )
    return headers


def slice_order(headers: Sequence[Header]) -> tuple[np.ndarray, OrderRule, np.ndarray]:
    """Order slices along the normal of their plane; without positions by SliceLocation, then InstanceNumber.

    Returns:
      int[D] order, the rule that made it, float[D-1] distances in mm (empty when they are unknown).

    Raises:
      DataError: `mixed_orientation`, `duplicate_position`, `order_unknown`.
    """
    if any(h.is_localizer for h in headers):
        raise DataError("localizer", "a scout view among the slices")
    if len(headers) == 1:
        return np.zeros(1, int), "single", np.zeros(0)
    keys, rule = _order_keys(headers)
    order = np.argsort(keys, kind="stable")
    gaps = np.diff(keys[order])
    if (gaps < SAME_POSITION_MM).any():
        raise DataError("duplicate_position", f"{int((gaps < SAME_POSITION_MM).sum())} by {rule}")
    return order, rule, (gaps if rule != "instance_number" else np.zeros(0))


def _order_keys(headers: Sequence[Header]) -> tuple[np.ndarray, OrderRule]:
    orientations = [h.orientation for h in headers if h.orientation is not None]
    if orientations:
        directions = np.array(orientations)
        if np.abs(directions - directions[0]).max() > SAME_DIRECTION:
            raise DataError("mixed_orientation", "the slices of one series lie in different planes")
        positions = [h.position for h in headers if h.position is not None]
        if len(positions) == len(orientations) == len(headers):
            normal = np.cross(directions[0, :3], directions[0, 3:])
            length = float(np.linalg.norm(normal))
            if length > 0.5:
                return np.array(positions) @ (normal / length), "image_position_patient"
    locations = [h.slice_location for h in headers if h.slice_location is not None]
    if len(locations) == len(headers):
        return np.array(locations), "slice_location"
    counted = [h.instance_number for h in headers if h.instance_number is not None]
    if len(counted) == len(headers):
        return np.array(counted, float), "instance_number"
    raise DataError("order_unknown", "no position, slice location or instance number in every slice")


def _spacing(first: Header, gaps: np.ndarray) -> tuple[float, float, float] | None:
    if first.pixel_spacing_mm is None:
        return None
    if len(gaps):
        z = float(np.median(gaps))
    else:
        z = first.spacing_between_slices_mm or first.slice_thickness_mm or 0.0
    return (round(abs(z), 4), *first.pixel_spacing_mm) if z else None
