"""The search finds every spelling wherever it stands, and nothing else."""

import string

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from p2med.certify.bounds import lower_bound
from p2med.certify.canary import Maker
from p2med.certify.search import ENCODINGS, ByteSearch, TextSearch, search, spellings

VALUES = {0: "欧阳霁珩", 1: "OUYANG JIHENG", 2: "32041220150304123X", 3: "138-1234 5678", 4: "张霁"}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "written",
    ["欧阳霁珩", "欧阳^霁珩", "欧^阳霁珩", "ouyang jiheng", "JIHENG OUYANG", "OUYANG^JIHENG", "13812345678"],
)
def test_every_spelling_is_found_in_bytes(encoding, written):
    noise = np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8).tobytes()
    assert ByteSearch(VALUES).find(noise) == set()
    for at in (0, 7, 99_000):
        planted = noise[:at] + written.encode(encoding) + noise[at:]
        assert len(ByteSearch(VALUES).find(planted)) == 1, at


def test_a_value_across_the_border_of_two_chunks_is_found(monkeypatch):
    monkeypatch.setattr("p2med.certify.search.CHUNK", 64)
    for at in range(50, 70):
        assert ByteSearch(VALUES).find(b"\0" * at + "欧阳霁珩".encode() + b"\0" * 90) == {0}


@pytest.mark.parametrize(
    "written", ["患儿欧 阳 霁 珩。", "欧阳·霁珩", "３２０４１２２０１５０３０４１２３Ｘ", "(138)12345678"]
)
def test_blanks_dots_and_widths_do_not_hide_a_value_in_text(written):
    assert len(TextSearch(VALUES).find(f"今日{written}来诊")) == 1


def test_a_short_name_is_not_searched_for_and_others_are_not_found():
    assert TextSearch(VALUES).find("张霁，欧阳先生，13812345679") == set()


def test_digits_inside_a_pseudonym_are_chance_and_beside_words_are_not():
    number = {0: "40512387"}
    for text in ("2.25.129663274051238767417728859202826", "p030b0473240512387a9337617c0ffee0"):
        assert TextSearch(number).find(text) == ByteSearch(number).find(text.encode()) == set()
    for text in ("MRN40512387", "床3 40512387，", "2023-11-08 40512387", "id40512387ab"):
        assert TextSearch(number).find(text) == ByteSearch(number).find(text.encode()) == {0}


@given(st.text(string.ascii_letters + "欧阳霁珩一二。 -", max_size=40))
def test_text_search_is_containment(text):
    plain = {0: "欧阳霁珩"}
    joined = text.replace(" ", "").replace("-", "")
    assert TextSearch(plain).find(text) == ({0} if "欧阳霁珩" in joined else set())


def dicom(path, compressed: bool) -> None:
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    file.Rows, file.Columns, file.BitsAllocated, file.BitsStored, file.HighBit = 8, 24, 16, 16, 15
    file.SamplesPerPixel, file.PixelRepresentation, file.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    pixels = np.zeros((8, 24), np.uint16)
    pixels[3, 2:8] = np.frombuffer("欧阳霁珩".encode(), "<u2")
    file.PixelData = pixels.tobytes()
    if compressed:
        file.compress(RLELossless)
    file.save_as(path, enforce_file_format=True)


def test_compressed_pages_pixels_and_file_names_are_searched(tmp_path):
    rows = [{"a": {"b": ["x" * 5000 + "欧阳霁珩" + "x" * 5000]}}] * 50
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet", compression="zstd")
    dicom(tmp_path / "plain.dcm", compressed=False)
    dicom(tmp_path / "packed.dcm", compressed=True)
    (tmp_path / "ouyangjiheng.npy").write_bytes(b"\0" * 64)
    assert "欧阳霁珩".encode() not in (tmp_path / "packed.dcm").read_bytes()
    found = search(tmp_path, VALUES)
    assert found.files == {0: {"t.parquet", "plain.dcm", "packed.dcm"}, 1: {"ouyangjiheng.npy"}}
    assert found.searched_files == 4 and found.searched_bytes > 500_000


def test_made_values_are_new_and_well_formed():
    weights, check = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"
    maker = Maker(3)
    numbers = [maker.id_number() for _ in range(300)]
    assert len(set(numbers)) == 300
    for n in numbers:
        assert check[sum(int(c) * w for c, w in zip(n, weights, strict=False)) % 11] == n[-1]
    first = Maker(3).name().chinese
    assert Maker(3, taken=f"患儿{first}").name().chinese != first
    assert all(f in spellings("MA LI") for f in ("MA^LI", "mali", "LI MA", "ＭＡ　ＬＩ".replace("　", " ")))


def test_bounds_are_those_of_the_tables():
    assert lower_bound(300, 300) == pytest.approx(0.05 ** (1 / 300))
    assert lower_bound(9, 10) == pytest.approx(0.6058, abs=1e-4)  # Clopper and Pearson, one-sided 95 %
    assert lower_bound(0, 5) == 0.0 and lower_bound(0, 0) is None
    with pytest.raises(ValueError):
        lower_bound(6, 5)
