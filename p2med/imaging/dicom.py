"""A DICOM series -> one array in HU or stored grey values, slices in order; technical facts only.

CT, 33 files -> int16[33, 512, 512], HU, spacing (8.0, 0.78, 0.78), feet first, sorted by ImagePositionPatient
CR, 1 file   -> uint16[1, 1024, 1024], stored, bright = dense
"""

import os
from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from p2med.errors import DataError
from p2med.imaging.decode import MAX_VALUES, decode_ct, decode_radiograph, names_pixel_data
from p2med.imaging.enhanced import frame_headers
from p2med.imaging.header import ENHANCED_CT, Header, Source, parse, technical
from p2med.imaging.order import Order, order_slices, to_standard
from p2med.imaging.pixels import Pixels
from p2med.imaging.source import read_bytes

Parsed = tuple[Dataset, list[Header], bytes]


def read_header(source: Source) -> Header:
    """The technical facts of one file, without its pixels.

    Raises:
      DataError: see header.parse and header.technical.
    """
    return technical(parse(source, pixels=False))


def read_series(sources: Sequence[Source]) -> Pixels:
    """Read the files of one series, in any order; nothing is resampled or made up.

    Raises:
      DataError: with the reasons of header.py, decode.py and order.py, and of the series as a whole:
        `no_files`, `mixed_modality`, `several_radiographs`, `multi_frame_ct`, `localizer`, `projection`,
        `duplicate_position`, `image_too_large`.
    """
    if not sources:
        raise DataError("no_files", "the series has no file")
    if len(sources) == 1:
        dataset, headers, blob = _parse_whole(sources[0])
        if headers[0].modality == "CT":
            return _volume([headers], [lambda: decode_ct(dataset, headers, blob)])
        pixel = headers[0].pixel_spacing_mm
        array = decode_radiograph(dataset, headers[0], blob)
        return Pixels(array, "stored", (1.0, *pixel) if pixel else None, headers[0])
    # Headers first: what is no volume is refused before a pixel is decoded, and each slice goes to its place.
    by_file = [_headers(parse(s, pixels=False)) for s in sources]
    if len({h.modality for headers in by_file for h in headers}) > 1:
        raise DataError("mixed_modality", "the files of one series differ in modality")
    if by_file[0][0].modality != "CT":
        raise DataError("several_radiographs", f"{len(sources)} images in one series")
    return _volume(by_file, [lambda s=s: _read_ct(s) for s in sources])


def _read_ct(source: Source) -> np.ndarray:
    dataset, headers, blob = _parse_whole(source)
    return decode_ct(dataset, headers, blob)


def _parse_whole(source: Source) -> Parsed:
    blob = source if isinstance(source, bytes) else read_bytes(os.fspath(source))
    dataset = parse(blob)
    try:
        return dataset, _headers(dataset), blob
    except DataError as error:
        # pydicom drops the whole data set when compressed pixel data lacks its end.
        if error.reason != "not_an_image" or not names_pixel_data(blob):
            raise
        _headers(parse(blob, pixels=False))
        raise DataError("pixel_data_truncated", "the file ends inside the pixel data") from None


def _headers(dataset: Dataset) -> list[Header]:
    """One header for each frame of a file."""
    header = technical(dataset)
    if header.modality != "CT":
        return [header]
    frames = [header]
    if header.sop_class_uid == ENHANCED_CT:
        frames = frame_headers(dataset, header)
    elif header.frames > 1:
        raise DataError("multi_frame_ct", "several frames, and no positions for them")
    if any(h.is_localizer for h in (header, *frames)):
        raise DataError("localizer", "a scout view, not a slice")
    if any(h.is_projection for h in (header, *frames)):
        raise DataError("projection", "a rendering or a projection of many slices")
    return frames


def _volume(by_file: list[list[Header]], reads: Sequence) -> Pixels:
    """Put every frame of every file to its place.

    Args:
      by_file: the headers of each file's frames; reads: for each file a function that gives its frames in HU.
    """
    headers = [h for frames in by_file for h in frames]
    order = order_slices(headers)
    rows, columns = headers[0].rows, headers[0].columns
    if order.depth * rows * columns > MAX_VALUES:
        raise DataError("image_too_large", f"{order.depth} slices of {rows} x {columns}")
    stack = np.empty((order.depth, rows, columns), np.int16)
    filled = np.zeros(order.depth, bool)
    places = iter(order.places)
    for read in reads:
        for frame in read():
            place = next(places)
            if not filled[place]:
                stack[place], filled[place] = frame, True
            elif (stack[place] != frame).any():
                raise DataError("duplicate_position", f"two different slices at one place, by {order.rule}")
    first = headers[int(np.flatnonzero(order.places == 0)[0])]
    fixed = ["copies_dropped"] if len(headers) > order.depth else []
    upright, spacing = _upright(stack, first, _spacing(first, order), fixed)
    return Pixels(upright, "HU", spacing, first, order.rule, order.even, tuple(fixed))


def _upright(
    stack: np.ndarray, first: Header, spacing: tuple[float, float, float] | None, fixed: list[str]
) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    """Columns to the patient's left, rows to the back; appends to `fixed` what it did."""
    if first.orientation is None:
        return stack, spacing
    transpose, rows, columns = to_standard(np.array(first.orientation))
    if transpose:
        stack = stack.transpose(0, 2, 1)
        spacing = (spacing[0], spacing[2], spacing[1]) if spacing else None
        fixed.append("transposed")
    if rows:
        stack = stack[:, ::-1]
        fixed.append("rows_flipped")
    if columns:
        stack = stack[:, :, ::-1]
        fixed.append("columns_flipped")
    return np.ascontiguousarray(stack), spacing


def _spacing(first: Header, order: Order) -> tuple[float, float, float] | None:
    if first.pixel_spacing_mm is None:
        return None
    if len(order.gaps_mm):
        z = float(np.median(order.gaps_mm))
    else:
        z = first.spacing_between_slices_mm or first.slice_thickness_mm or 0.0
    return (round(abs(z), 4), *first.pixel_spacing_mm) if z else None
