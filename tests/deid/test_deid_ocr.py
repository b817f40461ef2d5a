"""The OCR search: what strokes do not show is found, one letter stays, a missing extra is one line."""

import importlib.util

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from p2med import cli
from p2med.deid import burned_in, burned_in_ocr
from p2med.deid.burned_in import find_text
from p2med.deid.config import DeidConfig
from p2med.deid.dicom_pixels import blot_text
from p2med.deid.run import run
from p2med.errors import P2MedError, PhiError

HAS_OCR = all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime"))
needs_ocr = pytest.mark.skipif(not HAS_OCR, reason="RapidOCR is not installed (extra `ocr`)")


def picture(words: str, at=(8, 20), size: int = 16) -> np.ndarray:
    """uint8[300, 400]: a soft shade and words."""
    shade = np.add.outer(np.arange(300), np.arange(400)) // 6 + 40
    image = Image.fromarray(shade.astype(np.uint8))
    ImageDraw.Draw(image).text(at[::-1], words, fill=250, font=ImageFont.load_default(size=size))
    return np.asarray(image)


@needs_ocr
def test_what_strokes_do_not_show_is_found_by_ocr(monkeypatch):
    monkeypatch.setattr(burned_in, "TEXT_SCORE", 1e9)
    clean, marked = picture(""), picture("ZHANG ZIHAN")
    assert not find_text(marked).boxes
    found = find_text(marked, ocr=True)
    covered = np.zeros(marked.shape, bool)
    for top, bottom, left, right in found.boxes:
        covered[top:bottom, left:right] = True
    assert covered[clean != marked].all()
    assert not found.in_lungs
    assert not find_text(clean, ocr=True).boxes
    frames = marked[None].copy()
    assert blot_text(frames, False, None, "mask", ocr=True) == len(found.boxes)
    assert not find_text(frames[0], ocr=True).boxes


@needs_ocr
def test_ocr_finds_text_on_a_slice_and_in_lungs(monkeypatch):
    monkeypatch.setattr(burned_in, "TEXT_SCORE", 1e9)
    monkeypatch.setattr(burned_in, "text_on_slice", lambda values, padding: False)
    for frame, ct in ((picture("2022-09-14"), True), (picture("10000048", (150, 100)), False)):
        assert blot_text(frame[None].copy(), ct, None, "mask") == 0
        with pytest.raises(PhiError, match="burned_in_text"):
            blot_text(frame[None], ct, None, "mask", ocr=True)


@needs_ocr
@pytest.mark.parametrize("size", [30, 60])
def test_a_side_marker_stays(size):
    assert not find_text(picture("R", (20, 20), size), ocr=True).boxes


@needs_ocr
def test_no_recogniser_is_loaded_and_nothing_is_said(capfd):
    assert burned_in_ocr.read_boxes(picture("ZHANG ZIHAN"))
    assert burned_in_ocr._detector().text_rec is None
    assert capfd.readouterr() == ("", "")


@needs_ocr
def test_weights_that_are_not_in_the_package_are_not_fetched(monkeypatch):
    monkeypatch.setattr(burned_in_ocr, "MODEL", "models/none.onnx")
    burned_in_ocr._detector.cache_clear()
    with pytest.raises(P2MedError, match="holds no"):
        find_text(picture("R"), ocr=True)


def test_a_missing_extra_is_one_line_and_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    key = tmp_path / "key"
    key.write_text("6b" * 32)
    (tmp_path / "in").mkdir()
    words = [
        str(w) for w in ("p2med", "deid", "folder", tmp_path / "in", tmp_path / "out", "--key", key, "--ocr")
    ]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2 and "pip install 'p2med[ocr]'" in said and said.count("\n") == 1
    with pytest.raises(P2MedError, match=r"p2med\[ocr\]"):
        run(DeidConfig(public_data=True, ocr=True), tmp_path)
