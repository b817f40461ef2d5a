"""The allow-list of DICOM elements, by keyword, at every nesting level: what is not here does not pass.

Which element belongs where: DICOM PS3.3 A.2 (CR), A.26 (DX), A.3 (CT), A.38 (Enhanced CT). Which one holds
identity: PS3.15 table E.1-1. Pixels, patient, the instance's UIDs and the marks of de-identification are in
dicom_out.
"""

from p2med.deid.dicom_values import (
    Codes,
    Items,
    Rule,
    contrast_agent,
    decimals,
    directions,
    empty,
    hashed_uid,
    integers,
    matching,
    renamed,
    shifted_day,
    words,
)

Allowed = dict[str, Rule | Items | Codes]
YES_NO = words("YES", "NO")
MAKERS = {
    "SIEMENS": "SIEMENS",
    "SIEMENS HEALTHINEERS": "SIEMENS",
    "GE MEDICAL SYSTEMS": "GE MEDICAL SYSTEMS",
    "GE HEALTHCARE": "GE MEDICAL SYSTEMS",
    "PHILIPS": "PHILIPS",
    "PHILIPS MEDICAL SYSTEMS": "PHILIPS",
    "TOSHIBA": "TOSHIBA",
    "TOSHIBA_MEC": "TOSHIBA",
    "CANON": "CANON",
    "CANON_MEC": "CANON",
    "CANON INC.": "CANON",
    "HITACHI": "HITACHI",
    "UIH": "UIH",
    "NEUSOFT": "NEUSOFT",
    "MINDRAY": "MINDRAY",
    "WANDONG": "WANDONG",
    "FUJIFILM": "FUJIFILM",
    "FUJI PHOTO FILM CO., LTD.": "FUJIFILM",
    "FUJIFILM CORPORATION": "FUJIFILM",
    "KODAK": "KODAK",
    "CARESTREAM": "CARESTREAM",
    "CARESTREAM HEALTH": "CARESTREAM",
    "AGFA": "AGFA",
    "AGFA-GEVAERT": "AGFA",
    "KONICA MINOLTA": "KONICA MINOLTA",
    "SAMSUNG ELECTRONICS": "SAMSUNG",
    "SHIMADZU": "SHIMADZU",
}
BODY_PARTS = (
    "CHEST THORAX LUNG HEART RIB STERNUM CLAVICLE SHOULDER NECK ABDOMEN HEAD SKULL SPINE TSPINE CSPINE "
    "LSPINE PELVIS WHOLEBODY CHESTABDPELVIS CHESTABDOMEN HEADNECK EXTREMITY HIP"
).split()
IMAGE_TYPES = (
    "ORIGINAL DERIVED MIXED PRIMARY SECONDARY AXIAL LOCALIZER VOLUME MPR MIP MINIP AVERAGE NONE PORTABLE STD "
    "VOLUME_RENDER RESAMPLED MAXIMUM_INTENSITY ANGIO ATTENUATION CARDIAC CARDIAC_GATED FLUOROSCOPY REFERENCE "
    "STRESS REST"
).split()
MEANINGS = {
    ("SRT", "T-D3000"): "Chest",
    ("SCT", "51185008"): "Chest",
    ("SCT", "816094009"): "Chest",
    ("SRT", "T-D1100"): "Head",
    ("SCT", "69536005"): "Head",
    ("SRT", "T-D1600"): "Neck",
    ("SCT", "45048000"): "Neck",
    ("SRT", "T-D4000"): "Abdomen",
    ("SCT", "818981001"): "Abdomen",
    ("SRT", "R-10206"): "antero-posterior",
    ("SCT", "399348003"): "antero-posterior",
    ("SRT", "R-10214"): "postero-anterior",
    ("SCT", "272479007"): "postero-anterior",
    ("SRT", "R-10236"): "left lateral",
    ("SCT", "399173006"): "left lateral",
    ("SRT", "R-10232"): "right lateral",
    ("SCT", "399198007"): "right lateral",
}
CODES = Codes(MEANINGS)
KERNEL_FORM = (
    r"(?:[A-Z]{1,2}[0-9]{2,3}[a-z]{0,2}(?:[\\/][0-9])?|LUNG|BONE|BONEPLUS|STANDARD|STND|SOFT|CHEST|DETAIL|EDGE|"
    r"FC[0-9]{2}|[A-L]{1,2})"
)
IMAGE_TYPE = words(*IMAGE_TYPES, first=2)
MILLIMETRES = decimals(-5000, 5000)
LENGTH = decimals(0, 5000)
COUNT = integers(0, 99_999)

GENERAL: Allowed = {
    "Modality": words("CR", "DX", "CT"),
    "Manufacturer": renamed(MAKERS, "UNKNOWN"),
    "StudyDate": shifted_day,
    "SeriesDate": shifted_day,
    "AcquisitionDate": shifted_day,
    "ContentDate": shifted_day,
    "StudyTime": empty,
    "AccessionNumber": empty,
    "ReferringPhysicianName": empty,
    "StudyID": empty,
    "ImageType": IMAGE_TYPE,
    "BodyPartExamined": words(*BODY_PARTS),
    "SeriesNumber": COUNT,
    "InstanceNumber": COUNT,
    "AcquisitionNumber": COUNT,
    "FrameOfReferenceUID": hashed_uid,
    "PositionReferenceIndicator": empty,
    "Laterality": words("L", "R"),
    "ImageLaterality": words("L", "R", "U", "B"),
    "PatientOrientation": matching("[ALRPHF]{1,3}", most=2),
    "BurnedInAnnotation": YES_NO,
    "PatientPosition": words("HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL"),
    "KVP": decimals(0, 500),
    "DistanceSourceToDetector": LENGTH,
    "DistanceSourceToPatient": LENGTH,
    "ExposureTime": integers(0, 99_999),
    "XRayTubeCurrent": integers(0, 5000),
    "Exposure": integers(0, 9999),
    "ExposureInuAs": integers(0, 9_999_999),
    "FocalSpots": decimals(0, 10, 1, 2),
    "WindowCenter": decimals(-70_000, 70_000, 1, 8),
    "WindowWidth": decimals(0, 140_000, 1, 8),
    "VOILUTFunction": words("LINEAR", "LINEAR_EXACT", "SIGMOID"),
    "RescaleSlope": decimals(-1e4, 1e4, places=12),
    "RescaleIntercept": decimals(-70_000, 70_000, places=6),
    "RescaleType": words("HU", "US", "OD"),
    "PixelSpacing": decimals(0.001, 100, 2, places=12),
    "PixelAspectRatio": integers(1, 1000, 2),
    "LossyImageCompressionRatio": decimals(0, 10_000, 1, 4),
    "LossyImageCompressionMethod": words(
        "ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_15", "ISO_13818_2"
    ),
    "AcquisitionContextSequence": Items({}, most=0),
}
RADIOGRAPH: Allowed = {
    "ViewPosition": words("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT"),
    "ImagerPixelSpacing": decimals(0.001, 100, 2, places=12),
    "EstimatedRadiographicMagnificationFactor": decimals(0.1, 10),
    "PresentationIntentType": words("FOR PRESENTATION", "FOR PROCESSING"),
    "PixelIntensityRelationship": words("LIN", "LOG"),
    "PixelIntensityRelationshipSign": integers(-1, 1),
    "PresentationLUTShape": words("IDENTITY", "INVERSE"),
    "DetectorType": words("DIRECT", "SCINTILLATOR", "STORAGE", "FILM"),
    "DetectorConfiguration": words("AREA", "SLOT"),
    "FieldOfViewShape": words("RECTANGLE", "ROUND", "HEXAGONAL"),
    "FieldOfViewDimensions": integers(1, 5000, 1, 2),
    "PositionerType": words("NONE", "CARM", "COLUMN"),
    "Grid": words("NONE", "FIXED", "FOCUSED", "RECIPROCATING", "PARALLEL", "CROSSED"),
    "ConversionType": words("DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"),
    "Sensitivity": decimals(0, 100_000),
    "RelativeXRayExposure": integers(0, 99_999),
    "ExposureIndex": decimals(0, 100_000),
    "TargetExposureIndex": decimals(0, 100_000),
    "DeviationIndex": decimals(-100, 100),
    "AnatomicRegionSequence": CODES,
    "ViewCodeSequence": CODES,
}
CT: Allowed = {
    "ImageOrientationPatient": directions,
    "ImagePositionPatient": decimals(-5000, 5000, 3, places=12),
    "SliceThickness": decimals(0, 100),
    "SliceLocation": decimals(-10_000, 10_000, places=12),
    "SpacingBetweenSlices": decimals(-100, 100),
    "ConvolutionKernel": matching(KERNEL_FORM, most=2),
    "ContrastBolusAgent": contrast_agent,
    "ScanOptions": words("AXIAL MODE", "HELICAL MODE", "HELIX", "AXIAL", "SPIRAL", "NONE"),
    "DataCollectionDiameter": LENGTH,
    "ReconstructionDiameter": LENGTH,
    "GantryDetectorTilt": decimals(-90, 90),
    "TableHeight": MILLIMETRES,
    "TableSpeed": LENGTH,
    "RotationDirection": words("CW", "CC"),
    "RevolutionTime": decimals(0, 100),
    "SingleCollimationWidth": decimals(0, 500),
    "TotalCollimationWidth": decimals(0, 500),
    "TableFeedPerRotation": decimals(0, 500),
    "SpiralPitchFactor": decimals(0, 10),
    "CTDIvol": decimals(0, 1000),
}
