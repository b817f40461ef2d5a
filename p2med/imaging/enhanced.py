"""Enhanced CT: geometry and rescale of each frame (DICOM PS3.3 C.7.6.16)."""

from dataclasses import replace

from pydicom.dataset import Dataset

from p2med.errors import DataError
from p2med.imaging.header import Header, multiple, number, numbers


def frame_headers(dataset: Dataset, header: Header) -> list[Header]:
    """One header for each frame, from its own functional groups or the shared ones.

    Raises:
      DataError: `order_unknown`, `dicom_unreadable`.
    """
    try:
        shared = list(dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
        if len(groups) != header.frames:
            raise DataError("order_unknown", f"{len(groups)} functional groups for {header.frames} frames")
        return [_frame(group, shared, header) for group in groups]
    except DataError:
        raise
    except (Exception, RecursionError) as error:  # a malformed item may raise anything when it is read
        raise DataError("dicom_unreadable", f"a functional group: {type(error).__name__}") from None


def _frame(group: Dataset, shared: Dataset, header: Header) -> Header:
    def macro(name: str) -> Dataset:
        items = group.get(name) or shared.get(name)
        return items[0] if items else Dataset()

    values = macro("PixelValueTransformationSequence")
    slope, intercept = number(values.get("RescaleSlope")), number(values.get("RescaleIntercept"))
    measures = macro("PixelMeasuresSequence")
    spacing = numbers(measures.get("PixelSpacing"), 2)
    kernel = macro("CTReconstructionSequence").get("ConvolutionKernel")
    kinds = [str(v).upper() for v in multiple(macro("CTImageFrameTypeSequence").get("FrameType"))]
    rescale = header.rescale
    if intercept is not None:
        rescale = (1.0 if slope is None else slope, intercept)
    return replace(
        header,
        rescale=rescale,
        rescale_type=str(values.get("RescaleType") or "").strip().upper() or header.rescale_type,
        image_type=tuple(kinds) or header.image_type,
        position=numbers(macro("PlanePositionSequence").get("ImagePositionPatient"), 3),
        orientation=numbers(macro("PlaneOrientationSequence").get("ImageOrientationPatient"), 6),
        pixel_spacing_mm=(spacing[0], spacing[1]) if spacing else header.pixel_spacing_mm,
        slice_thickness_mm=number(measures.get("SliceThickness")) or header.slice_thickness_mm,
        convolution_kernel=str(kernel) if kernel else header.convolution_kernel,
    )
