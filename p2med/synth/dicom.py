"""The films as a PACS would send them: headers full of identity, in GB18030 or UTF-8.

pacs/20220914/10000048/CT00012300/5f3a….dcm    names say nothing about the slice order
"""

import hashlib
import io
from datetime import date, datetime, timedelta

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from p2med.synth.config import SynthConfig
from p2med.synth.illness import Examination
from p2med.synth.people import HOSPITAL, Person
from p2med.synth.phantom import Anatomy, ct_volume, xray_ap, xray_lateral

CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
DX_STORAGE = "1.2.840.10008.5.1.4.1.1.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SR_STORAGE = "1.2.840.10008.5.1.4.1.1.88.11"
SLICE_MM = 5.0
Planted = list[dict[str, str]]


def uid(*parts: object) -> str:
    """A UID that depends on nothing but these words."""
    return generate_uid(prefix="2.25.", entropy_srcs=["p2med synth", *map(str, parts)])


class Pacs:
    """Makes one patient's files: a list of (path under pacs/, bytes), and what was planted in them."""

    def __init__(self, person: Person, anatomy: Anatomy, config: SynthConfig, rng: np.random.Generator):
        self.person, self.anatomy, self.config, self.rng = person, anatomy, config, rng
        self.charset = "GB18030" if rng.random() < 0.5 else "ISO_IR 192"
        self.files: list[tuple[str, bytes]] = []
        self.planted: Planted = []

    def examine(self, e: Examination) -> str:
        """Write every series of an examination; returns its StudyInstanceUID."""
        if e.modality == "CT":
            self._ct(e)
        else:
            self._xray(e)
        return self._study_uid(e)

    def _study_uid(self, e: Examination) -> str:
        return uid(self.config.seed, self.person.patient_id, e.accession_number)

    # ------------------------------------------------------------ kinds

    def _xray(self, e: Examination) -> None:
        pixels = self.config.xray_pixels
        views = [
            ("AP" if self.rng.random() < 0.7 else "PA", xray_ap(e.lungs, self.anatomy, pixels, self.rng))
        ]
        if e.lateral:
            views.append(("LL", xray_lateral(e.lungs, self.anatomy, pixels, self.rng)))
        for number, (view, array) in enumerate(views, 1):
            texts = []
            if view != "LL" and self.rng.random() < 0.6:
                texts.append(("R", pixels // 40, pixels // 10))
            if e.burned_in and number == 1:
                texts += self._identity_lines(e, pixels)
            array = _draw(array, texts)
            ds = self._header(e, number, 1)
            ds.SOPClassUID = CR_STORAGE if e.modality == "CR" else DX_STORAGE
            ds.ImageType = ["ORIGINAL", "PRIMARY"]
            ds.ViewPosition = view
            ds.BodyPartExamined = "CHEST"
            ds.PhotometricInterpretation = "MONOCHROME2"
            ds.PixelSpacing = [0.4, 0.4]
            if e.burned_in_declared and number == 1:
                ds.BurnedInAnnotation = "YES"
            if e.monochrome1:
                ds.PhotometricInterpretation = "MONOCHROME1"
                array = (4095 - array).astype(np.uint16)
            self._save(e, ds, array, bits=12)

    def _identity_lines(self, e: Examination, pixels: int) -> list[tuple[str, int, int]]:
        lines = [self.person.pinyin, f"ID {self.person.patient_id}", f"{e.day:%Y%m%d}"]
        for value in lines:
            self._plant("pixels", value, e.accession_number)
        height = pixels // 24
        return [(line, pixels // 40, pixels - (3 - n) * int(1.4 * height)) for n, line in enumerate(lines)]

    def _ct(self, e: Examination) -> None:
        c = self.config
        volume = ct_volume(e.lungs, self.anatomy, c.ct_pixels, c.ct_slices, False, self.rng)
        self._ct_series(e, 2, volume, "B60f", "Lung 5.0 B60f", contrast=False)
        if self.rng.random() < 0.3:
            noise = self.rng.normal(scale=4, size=volume.shape)
            self._ct_series(e, 3, (volume + noise).astype(np.int16), "B30f", "Mediastinum 5.0 B30f", False)
        if e.enhanced:
            after = ct_volume(e.lungs, self.anatomy, c.ct_pixels, c.ct_slices - 2, True, self.rng)
            self._ct_series(e, 4, after, "B60f", "Lung 5.0 B60f +C", contrast=True)
        if self.rng.random() < 0.1:
            self._localizer(e, volume)

    def _ct_series(
        self, e: Examination, number: int, volume: np.ndarray, kernel: str, title: str, contrast: bool
    ) -> None:
        unsigned = bool(self.rng.random() < 0.5)
        order = self.rng.permutation(len(volume))
        pixel_mm = 300.0 / volume.shape[1]
        for k, hu in enumerate(volume):
            ds = self._header(e, number, int(order[k]) + 1)
            ds.SOPClassUID = CT_STORAGE
            ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            ds.SeriesDescription = title
            ds.ConvolutionKernel = kernel
            ds.SliceThickness = SLICE_MM
            ds.PixelSpacing = [pixel_mm, pixel_mm]
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            ds.ImagePositionPatient = [-150.0, -150.0, round(-SLICE_MM * k, 3)]
            ds.FrameOfReferenceUID = uid(self._study_uid(e), "frame")
            ds.PatientPosition = "HFS"
            ds.BodyPartExamined = "CHEST"
            ds.PhotometricInterpretation = "MONOCHROME2"
            if contrast:
                ds.ContrastBolusAgent = "Iohexol"
            ds.RescaleSlope, ds.RescaleIntercept = (1, -1024) if unsigned else (1, 0)
            ds.RescaleType = "HU"
            hu = np.clip(hu, -1024, 3071).astype(np.int16)  # noise below air would wrap to white
            stored = (hu + 1024).astype(np.uint16) if unsigned else hu
            self._save(e, ds, stored, bits=16)

    def _localizer(self, e: Examination, volume: np.ndarray) -> None:
        """A scout view in a series of its own: not for reading."""
        ds = self._header(e, 1, 1)
        ds.SOPClassUID = CT_STORAGE
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        ds.SeriesDescription = "Topogram"
        ds.PixelSpacing = [1.0, 1.0]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        ds.ImagePositionPatient = [-150.0, 0.0, 0.0]
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        self._save(e, ds, volume.mean(axis=1).astype(np.int16), bits=16)

    def structured_report(self, e: Examination) -> None:
        """A DICOM object without an image, as every PACS holds."""
        ds = self._header(e, 90, 1)
        ds.SOPClassUID = SR_STORAGE
        ds.Modality = "SR"
        ds.ValueType = "CONTAINER"
        ds.ContinuityOfContent = "SEPARATE"
        self._store(e, ds, "SR")

    # ------------------------------------------------------------ header and file

    def _header(self, e: Examination, series: int, instance: int) -> Dataset:
        p = self.person
        ds = Dataset()
        ds.SpecificCharacterSet = self.charset
        ds.PatientName = f"{p.pinyin.replace(' ', '^')}={p.name}"
        ds.PatientID = p.patient_id
        ds.PatientBirthDate = f"{p.birth_date:%Y%m%d}"
        ds.PatientSex = p.sex
        ds.PatientAge = _dicom_age(p.birth_date, e.day)
        ds.OtherPatientIDs = p.id_number
        ds.PatientAddress = p.address
        ds.PatientTelephoneNumbers = p.phone
        ds.InstitutionName = HOSPITAL
        ds.ReferringPhysicianName = p.doctor
        ds.PerformingPhysicianName = p.senior
        ds.AccessionNumber = e.accession_number
        ds.StudyID = e.accession_number[-8:]
        ds.StudyDate = ds.SeriesDate = ds.ContentDate = f"{e.day:%Y%m%d}"
        ds.StudyTime = ds.ContentTime = f"{9 + instance % 8:02d}3000"
        ds.StudyDescription = f"胸部{'CT' if e.modality == 'CT' else '正侧位'} {p.name}"
        ds.Modality = e.modality
        ds.Manufacturer = "P2Med Phantom"
        ds.StudyInstanceUID = self._study_uid(e)
        ds.SeriesInstanceUID = uid(ds.StudyInstanceUID, series)
        ds.SOPInstanceUID = uid(ds.SeriesInstanceUID, instance)
        ds.SeriesNumber, ds.InstanceNumber = series, instance
        block = ds.private_block(0x0029, "P2MED HIS 1.0", create=True)
        block.add_new(0x01, "LO", f"{p.name} {p.phone}")
        return ds

    def _save(self, e: Examination, ds: Dataset, array: np.ndarray, bits: int) -> None:
        ds.Rows, ds.Columns = array.shape
        ds.SamplesPerPixel = 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
        ds.PixelRepresentation = int(array.dtype == np.int16)
        ds.PixelData = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        ds["PixelData"].VR = "OW"
        self._store(e, ds, "IM")

    def _store(self, e: Examination, ds: Dataset, kind: str) -> None:
        implicit = e.accession_number.endswith("1")
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = ds.SOPClassUID
        meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        meta.TransferSyntaxUID = syntax
        meta.ImplementationClassUID = "2.25.20240902608"
        sink = io.BytesIO()
        file = FileDataset(sink, ds, file_meta=meta, preamble=b"\0" * 128)
        file.save_as(sink, enforce_file_format=True)
        name = hashlib.sha256(ds.SOPInstanceUID.encode()).hexdigest()[:16]
        folder = f"{e.day:%Y%m%d}/{self.person.patient_id}/{e.accession_number}"
        self.files.append((f"pacs/{folder}/{kind}{name}.dcm", sink.getvalue()))

    def _plant(self, where: str, value: str, accession: str) -> None:
        self.planted.append({"where": where, "value": value, "accession_number": accession})


def _dicom_age(birth: date, day: date) -> str:
    """DICOM AS: days, months or years (PS3.5 6.2)."""
    days = (day - birth).days
    if days < 90:
        return f"{days:03d}D"
    return f"{days // 30:03d}M" if days < 730 else f"{days // 365:03d}Y"


def _draw(array: np.ndarray, texts: list[tuple[str, int, int]]) -> np.ndarray:
    """Draw white words into a 12-bit film: (words, x, y)."""
    if not texts:
        return array
    overlay = Image.new("L", (array.shape[1], array.shape[0]))
    pen = ImageDraw.Draw(overlay)
    font = ImageFont.load_default(size=max(10, array.shape[0] // 24))
    for words, x, y in texts:
        pen.text((x, y), words, fill=255, font=font)
    alpha = np.asarray(overlay, dtype=np.float32) / 255
    return (array * (1 - alpha) + 4000 * alpha).astype(np.uint16)


def excel_day(day: date) -> datetime:
    """Midday of a date, for exports that carry a time."""
    return datetime(day.year, day.month, day.day) + timedelta(hours=9, minutes=30)
