"""The allow-list of an Enhanced CT: its functional groups, shared and of each frame (PS3.3 A.38)."""

from p2med.deid.dicom_allowed import (
    CODES,
    COUNT,
    CT,
    GENERAL,
    IMAGE_TYPE,
    LENGTH,
    MILLIMETRES,
    YES_NO,
    Allowed,
)
from p2med.deid.dicom_values import (
    Items,
    decimals,
    directions,
    hashed_uid,
    integers,
    matching,
    midnight,
    public_tags,
    removed,
    shifted_midnight,
    words,
)

_FRAME_TYPE: Allowed = {
    "FrameType": IMAGE_TYPE,
    "PixelPresentation": words("MONOCHROME"),
    "VolumetricProperties": words("VOLUME", "SAMPLED", "DISTORTED", "MIXED"),
    "VolumeBasedCalculationTechnique": words(
        "NONE", "MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "MPR", "CURVED_MPR", "MIXED"
    ),
}
_FRAME_CONTENT: Allowed = {
    "FrameAcquisitionNumber": COUNT,
    "FrameReferenceDateTime": shifted_midnight,
    "FrameAcquisitionDateTime": shifted_midnight,
    "FrameAcquisitionDuration": decimals(0, 1e6),
    "DimensionIndexValues": integers(0, 99_999, 1, 9),
    "TemporalPositionIndex": COUNT,
    "StackID": matching("[0-9]{1,4}"),
    "InStackPositionNumber": COUNT,
}
_GROUPS: Allowed = {
    "PixelMeasuresSequence": Items(
        {
            "PixelSpacing": GENERAL["PixelSpacing"],
            "SliceThickness": CT["SliceThickness"],
            "SpacingBetweenSlices": CT["SpacingBetweenSlices"],
        }
    ),
    "PlanePositionSequence": Items({"ImagePositionPatient": CT["ImagePositionPatient"]}),
    "PlaneOrientationSequence": Items({"ImageOrientationPatient": directions}),
    "FrameContentSequence": Items(_FRAME_CONTENT),
    "CTImageFrameTypeSequence": Items(_FRAME_TYPE),
    "PixelValueTransformationSequence": Items(
        {k: GENERAL[k] for k in ("RescaleIntercept", "RescaleSlope", "RescaleType")}
    ),
    "FrameVOILUTSequence": Items({k: GENERAL[k] for k in ("WindowCenter", "WindowWidth", "VOILUTFunction")}),
    "FrameAnatomySequence": Items(
        {"FrameLaterality": words("L", "R", "U", "B"), "AnatomicRegionSequence": CODES}
    ),
    "CTAcquisitionTypeSequence": Items(
        {
            "AcquisitionType": words("SEQUENCED", "SPIRAL", "CONSTANT_ANGLE", "STATIONARY", "FREE"),
            "TubeAngle": decimals(-360, 360),
            "ConstantVolumeFlag": YES_NO,
            "FluoroscopyFlag": YES_NO,
        }
    ),
    "CTAcquisitionDetailsSequence": Items(
        {
            "RotationDirection": CT["RotationDirection"],
            "RevolutionTime": CT["RevolutionTime"],
            "SingleCollimationWidth": CT["SingleCollimationWidth"],
            "TotalCollimationWidth": CT["TotalCollimationWidth"],
            "TableHeight": MILLIMETRES,
            "GantryDetectorTilt": CT["GantryDetectorTilt"],
            "DataCollectionDiameter": LENGTH,
        }
    ),
    "CTTableDynamicsSequence": Items(
        {k: CT[k] for k in ("TableSpeed", "TableFeedPerRotation", "SpiralPitchFactor")}
    ),
    "CTPositionSequence": Items(
        {
            "TablePosition": MILLIMETRES,
            "ReconstructionTargetCenterPatient": decimals(-5000, 5000, 3),
            "DataCollectionCenterPatient": decimals(-5000, 5000, 3),
        }
    ),
    "CTReconstructionSequence": Items(
        {
            "ReconstructionAlgorithm": words("FILTER_BACK_PROJ", "ITERATIVE"),
            "ConvolutionKernel": CT["ConvolutionKernel"],
            "ConvolutionKernelGroup": words("BRAIN", "SOFT_TISSUE", "LUNG", "BONE", "CONSTANT_ANGLE"),
            "ReconstructionDiameter": LENGTH,
            "ReconstructionPixelSpacing": GENERAL["PixelSpacing"],
            "ReconstructionAngle": decimals(0, 360),
            "ImageFilter": words("NONE", "SMOOTH", "SHARP"),
        }
    ),
    "CTExposureSequence": Items(
        {
            "ExposureTimeInms": decimals(0, 1e5),
            "XRayTubeCurrentInmA": decimals(0, 5000),
            "ExposureInmAs": decimals(0, 1e5),
            "ExposureModulationType": words("NONE", "ANGULAR", "LONGITUDINAL", "ECG_BASED"),
            "CTDIvol": decimals(0, 1000),
        }
    ),
    "CTXRayDetailsSequence": Items(
        {
            "KVP": GENERAL["KVP"],
            "FocalSpots": GENERAL["FocalSpots"],
            "FilterType": words("NONE", "FLAT", "WEDGE", "BUTTERFLY", "MULTIPLE"),
            "CalciumScoringMassFactorPatient": decimals(0, 100),
        }
    ),
    "IrradiationEventIdentificationSequence": Items({"IrradiationEventUID": hashed_uid}),
    "CTGeometrySequence": Items(
        {"DistanceSourceToDetector": LENGTH, "DistanceSourceToDataCollectionCenter": LENGTH}
    ),
}
FRAMES = 4000
ENHANCED: Allowed = {
    **_FRAME_TYPE,
    "AcquisitionDateTime": shifted_midnight,
    "AcquisitionDuration": decimals(0, 1e6),
    "ContentTime": midnight,
    "DeviceSerialNumber": removed,
    "ManufacturerModelName": removed,
    "SoftwareVersions": removed,
    "ContentQualification": words("PRODUCT", "RESEARCH", "SERVICE"),
    "DimensionOrganizationSequence": Items({"DimensionOrganizationUID": hashed_uid}, most=9),
    "DimensionIndexSequence": Items(
        {
            "DimensionOrganizationUID": hashed_uid,
            "DimensionIndexPointer": public_tags,
            "FunctionalGroupPointer": public_tags,
        },
        most=9,
    ),
    "SharedFunctionalGroupsSequence": Items(_GROUPS),
    "PerFrameFunctionalGroupsSequence": Items(_GROUPS, most=FRAMES),
    "PresentationLUTShape": words("IDENTITY"),
}
