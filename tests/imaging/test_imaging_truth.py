"""Studies with a known truth, stored in every odd way: the truth comes out, or the right reason."""

from collections import Counter

import pytest
from truth_maker import judge, studies

from p2med.imaging import codestream, decode, dicom, order
from p2med.imaging.dicom import read_series


def read(files):
    return read_series(files).array


def test_no_study_fails_silently_and_each_refusal_has_the_right_name():
    verdicts = {m.name: judge(m, read) for m in studies(seed=3)}
    assert {n: v for n, v in verdicts.items() if v != "right"} == {}
    assert len(verdicts) > 180


FAULTS = {
    "flips": (dicom, "to_standard", lambda directions: (False, False, False), "laid_"),
    "drift": (order, "_check_drift", lambda *_: None, "tilted_"),
    "gaps": (order, "_check_gaps", lambda gaps: None, "missing"),
    "same": (order, "_check_same", lambda headers: None, "among_slices_other_pixel"),
    "codestream": (decode, "check_frame", lambda *_: None, "_turned"),
    "overlays": (decode, "_overlays_in_pixels", lambda dataset: True, "bits_10_of_12"),
    "tables": (decode, "has_table", lambda *_: False, "voi_table"),
    "units": (decode, "hounsfield_scale", lambda header: header.rescale, "type_us"),
    "lossy": (decode, "LOSSY", {"1.2.840.10008.1.2.1"}, "sign_not_extended"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, monkeypatch):
    module, name, instead, part = FAULTS[fault]
    concerned = [m for m in studies(seed=4) if part in m.name]
    assert Counter(judge(m, read) for m in concerned)["right"] == len(concerned) > 0
    monkeypatch.setattr(module, name, instead)
    assert "silent" in {judge(m, read) for m in concerned}


@pytest.mark.parametrize(
    "frame, shape",
    [
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x02\x00\x03\x01\x01\x11\x00", (2, 3, 1, 8)),
        (b"\xff\xd8\xff\xff\xf7\x00\x0b\x0c\x01\x00\x02\x00\x01\x01\x11\x00", (256, 512, 1, 12)),
        (b"\xff\xd8\xff\xd9", None),
        (b"\xff\xd8\xff\xe0\x00\x00", None),
        (b"", None),
        (b"\xff\x4f\xff\x51\x00", None),
    ],
)
def test_a_codestream_says_its_shape(frame, shape):
    found = codestream.shape_of(frame)
    assert found == (shape and codestream.Shape(*shape))
