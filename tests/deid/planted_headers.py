"""DICOM files with a unique value in every place where identity can stand; by whom, where, in which encoding.

PatientComments at depth 3 of a CT in GB18030  ->  "沈Q0001234Z", and the bytes that must not come out again
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from p2med.files import data_folder

TABLE = "ps315_confidentiality_profile/ps315_table_E1-1.json"
CHARSETS = {"utf8": "ISO_IR 192", "gb18030": "GB18030", "ir58": "\\ISO 2022 IR 58", "none": None}
CODECS = {"utf8": "utf-8", "gb18030": "gb18030", "ir58": "gb18030", "none": "latin-1"}
DEPTHS = 4
CLASSES = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
}
_TEXT = {"LO", "SH", "ST", "LT", "UT", "UC", "PN"}
_NESTS = (
    # Unlisted sequences, and one that the allow-list knows: neither may carry anything through.
    (0x00400275, 0x00081140, 0x00089215),
    (0x00082218, 0x00082220, 0x00540220),
)
_PLACE = {"depth": 0}


@dataclass
class Planted:
    """One file and what must not come out of it: (where, bytes)."""

    content: bytes
    values: list[tuple[str, bytes]] = field(default_factory=list)

    def left_in(self, out: bytes) -> list[str]:
        return sorted({where for where, value in self.values if value in out})

    @property
    def places(self) -> int:
        """In how many places a value stands that the search can find."""
        return len(self.left_in(self.content))


def table_rows(data: Path | None = None) -> list[dict]:
    path = (data or data_folder()) / TABLE
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def table_is_there() -> bool:
    return (data_folder() / TABLE).exists()


class Planter:
    """Makes values that occur once: `start` tells files apart."""

    def __init__(self, charset: str, start: int):
        self.codec, self.ir58 = CODECS[charset], charset == "ir58"
        self.number = start
        self.values: list[tuple[str, bytes]] = []

    def element(self, tag: int, vr: str, where: str) -> DataElement:
        self.number += 1
        value, searched = self._value(vr, self.number)
        self.values += [(where, s) for s in searched]
        return DataElement(tag, vr, value)

    def _value(self, vr: str, n: int) -> tuple[object, list[bytes]]:
        """A value, and the bytes by which it would be known."""
        word = f"Q{n:07d}Z"
        if vr in _TEXT:
            return self._text(vr, word), [word.encode(), *self._chinese(n)]
        if vr == "CS" or vr == "AE":
            return word, [word.encode()]
        if vr == "UR":
            return f"http://{word}", [word.encode()]
        if vr == "UI":
            return f"1.2.826.0.1.3680043.{n}", [f"3680043.{n}".encode()]
        if vr in ("DA", "DT", "TM"):
            # 400 days apart: no shift of up to a year turns one into another.
            day = date(1000, 1, 1) + timedelta(400 * (n % 7000))
            clock = f"{n % 24:02d}{n % 60:02d}{n % 59:02d}.{n % 1_000_000:06d}"
            said = {"DA": f"{day:%Y%m%d}", "TM": clock, "DT": f"{day:%Y%m%d}{clock}"}[vr]
            return said, [said.encode()]
        if vr in ("DS", "IS"):
            return f"{n + 700_000_000}", [f"{n + 700_000_000}".encode()]
        if vr in ("US", "SS"):
            return n % 30_000, []  # two bytes are found everywhere
        if vr == "AS":
            return f"{n % 90:03d}W", [f"{n % 90:03d}W".encode()]
        if vr in ("OB", "OW", "UN"):
            return (word + " ").encode() * 2, [word.encode()]
        raise ValueError(vr)

    def _text(self, vr: str, word: str) -> str | bytes:
        chinese = self._name(self.number)
        text = f"{chinese}{word}" if vr != "PN" else f"{word}^Q={chinese}"
        if self.codec == "latin-1":
            return text.encode("gb18030").decode("latin-1")  # as many consoles do it
        return text

    def _chinese(self, n: int) -> list[bytes]:
        name = self._name(n)
        return [name.encode(c) for c in ("utf-8", "gb18030", "utf-16-le", "gb2312")]

    def _name(self, n: int) -> str:
        """Four hanzi of GB 2312 level 1, a different row of them for each number."""
        lead = [0xB0 + (n // k) % 39 for k in (1, 39, 1521, 59319)]
        trail = [0xA1 + (n * 7 + k * 13) % 94 for k in range(4)]
        trail = [min(t, 0xF9) for t in trail]
        return b"".join(bytes(p) for p in zip(lead, trail, strict=True)).decode("gb2312")


def planted_file(charset: str, modality: str, start: int, implicit: bool = False, nest: int = 0) -> Planted:
    """One file with every row of table E.1-1 at four depths, and the odd places."""
    planter = Planter(charset, start)
    ds = base(modality, start)
    if CHARSETS[charset] is not None:
        ds.SpecificCharacterSet = (
            CHARSETS[charset].split("\\") if "\\" in CHARSETS[charset] else CHARSETS[charset]
        )
    keep = {e.tag for e in ds if e.tag.group == 0x28} | {Tag("SOPClassUID"), Tag("Modality")}
    for row in table_rows():
        for tag, vr in tags_of(row):
            if tag.group == 2:
                continue
            for depth in range(DEPTHS):
                if depth == 0 and tag in keep:
                    continue
                owner = nested(ds, _NESTS[nest][:depth])
                if tag in owner and owner[tag].VR == "SQ" and vr != "SQ":
                    continue
                where = f"{row['tag']} {row['name']} depth {depth}"
                put(owner, tag, vr, planter, where)
    ds.PatientID = f"ID{start:08d}"
    planter.values.append(("PatientID", ds.PatientID.encode()))
    odd_places(ds, planter)
    ds.add_new(0x7FE00010, "OW", pixels(modality).tobytes())
    return Planted(encoded(ds, planter, implicit), planter.values)


def put(owner: Dataset, tag: int, vr: str, planter: Planter, where: str) -> None:
    if vr == "SQ":
        if tag in owner:
            return
        item = Dataset()
        item.add(planter.element(0x00081030, "LO", where))
        item.add(planter.element(0x00100010, "PN", where))
        owner.add_new(tag, "SQ", [item])
    else:
        owner.add(planter.element(tag, vr, where))


def tags_of(row: dict) -> Iterator[tuple[Tag, str]]:
    """The tags that a row stands for, with the standard's VR."""
    text = row["tag"].strip("()").replace(",", "").upper()
    if "GGGG" in text:
        return
    for number in ("00", "02") if "X" in text else ("",):
        tag = Tag(int(text.replace("XX", number, 1).replace("XXXX", "0010") if number else text, 16))
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            vr = row["vr"] or "LO"
        yield tag, vr.split(" or ")[0]


def nested(ds: Dataset, path: tuple[int, ...]) -> Dataset:
    for tag in path:
        if tag not in ds or not ds[tag].value:
            ds.add_new(tag, "SQ", [Dataset()])
        ds = ds[tag].value[0]
    return ds


def odd_places(ds: Dataset, planter: Planter) -> None:
    """Private groups, overlays, curves, unknown tags, wrong VRs, code meanings, trailing padding."""
    for group in (0x0009, 0x0029, 0x00E1):
        ds.add_new((group, 0x0010), "LO", "MAKER 1.0")
        for element, vr in ((0x1001, "LO"), (0x1002, "UN"), (0x1003, "PN"), (0x1004, "DA"), (0x1005, "SQ")):
            put(ds, Tag(group, element), vr, planter, f"private {group:04x} {vr}")
    ds.add(planter.element(0x00091077, "LO", "private without a creator"))
    for group in (0x6004, 0x60FE):
        ds.add_new((group, 0x0010), "US", 8)
        ds.add_new((group, 0x0011), "US", 8)
        ds.add(planter.element((group, 0x3000), "OW", "overlay data"))
        ds.add(planter.element((group, 0x0022), "LO", "overlay description"))
        ds.add(planter.element((group, 0x1500), "LO", "overlay label"))
    ds.add(planter.element(0x50060010, "LO", "curve"))
    ds.add(planter.element(0x0018FFF0, "UN", "unknown tag"))
    ds.add(planter.element(0xFFFCFFFC, "OB", "trailing padding"))
    for keyword in ("AnatomicRegionSequence", "ViewCodeSequence", "ProcedureCodeSequence"):
        item = nested(ds, (Tag(keyword),))
        item.CodeValue, item.CodingSchemeDesignator = "T-D3000", "SRT"
        item.add(planter.element(Tag("CodeMeaning"), "LO", f"meaning in {keyword}"))
        item.add(planter.element(Tag("ContextUID"), "UI", f"context in {keyword}"))
    for keyword in (
        "KVP",
        "SliceThickness",
        "PixelSpacing",
        "RescaleIntercept",
        "WindowCenter",
        "SeriesNumber",
    ):
        ds.add(planter.element(Tag(keyword), "LO", f"words in {keyword}"))
    for keyword in (
        "BodyPartExamined",
        "ViewPosition",
        "PatientPosition",
        "ConvolutionKernel",
        "ScanOptions",
    ):
        ds.add(planter.element(Tag(keyword), "CS", f"a word in {keyword}"))
    for keyword in ("Manufacturer", "ImageType", "PatientOrientation", "Laterality"):
        ds.add(planter.element(Tag(keyword), "LO", f"a word in {keyword}"))
    ds.add(planter.element(Tag("ImageComments"), "UT", "UT where LT belongs"))
    ds.add(planter.element(Tag("Grid"), "UT", "UT where CS belongs"))


def base(modality: str, start: int) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = CLASSES[modality], modality
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = 32
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope = "-1024", "1"
    return ds


def pixels(modality: str) -> np.ndarray:
    return (np.add.outer(np.arange(32), np.arange(32)) * 20 + 300).astype("<u2")


def encoded(ds: Dataset, planter: Planter, implicit: bool = False) -> bytes:
    """A file with identity in its preamble, its file meta and behind its end."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    for tag, vr in ((0x00020003, "UI"), (0x00020016, "AE"), (0x00020017, "AE"), (0x00020018, "AE")):
        meta.add(planter.element(tag, vr, f"file meta {tag:08x}"))
    for tag, vr in ((0x00020013, "SH"), (0x00020100, "UI"), (0x00020102, "OB"), (0x00020012, "UI")):
        if tag == 0x00020013:
            meta.ImplementationVersionName = word = f"Q{planter.number + 1:07d}Z"
            planter.number += 1
            planter.values.append(("file meta version name", word.encode()))
        else:
            meta.add(planter.element(tag, vr, f"file meta {tag:08x}"))
    planter.number += 1
    word = f"Q{planter.number:07d}Z".encode()
    planter.values.append(("preamble", word))
    preamble = (b"II*\0" + word * 20).ljust(128, b"\0")[:128]
    # Not dcmwrite: it refuses the command group 0000, of which the table has rows.
    sink = DicomBytesIO()
    sink.is_little_endian, sink.is_implicit_VR = True, implicit
    sink.write(preamble + b"DICM")
    write_file_meta_info(sink, meta, enforce_standard=True)
    write_dataset(sink, ds, ds.get("SpecificCharacterSet") or "ISO_IR 6")
    return sink.getvalue()
