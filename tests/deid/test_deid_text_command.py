"""`p2med deid text`: one line in, one line out; what is no note is rejected by name, without a value."""

import io
import json
import subprocess
import sys
from datetime import date, timedelta

import pytest

from p2med.deid.pseudonym import Pseudonyms
from p2med.deid.text_command import Scrubber, read_known, scrub_lines
from p2med.errors import P2MedError

KEY = bytes(range(32))
KNOWN = {"10000048": {"names": ["宋诗梓"], "record_numbers": ["ZY77"], "phones": ["13871896132"]}}


def lines(*notes: object) -> list[dict]:
    raw = b"".join(
        (n if isinstance(n, bytes) else json.dumps(n, ensure_ascii=False).encode()) + b"\n" for n in notes
    )
    return list(scrub_lines(io.BytesIO(raw), Scrubber(KEY, KNOWN)))


def test_a_note_comes_back_without_identity_and_with_the_places():
    text = "诗梓今日复诊，与2022年10月29日片比较，ZY77，请拨１３８７１８９６１３２"
    (done,) = lines({"id": 7, "patient": "10000048", "text": text})
    assert done["id"] == 7 and list(done) == ["id", "text", "replaced"]
    assert [(text[r["start"] : r["end"]], r["kind"]) for r in done["replaced"]] == [
        ("诗梓", "name"), ("2022年10月29日", "date"), ("ZY77", "number"), ("１３８７１８９６１３２", "phone"),
    ]  # fmt: skip


def test_dates_shift_as_those_of_the_same_patient_in_a_dicom_folder():
    offset = Pseudonyms(KEY).offset_days("hospital", "10000048", 365)
    (done,) = lines({"id": 1, "patient": 10000048, "text": "2022-10-29"})
    (again,) = lines({"id": 1, "patient": " １００００048", "text": "2022-10-29"})
    assert done["text"] == again["text"] and done["text"] != "2022-10-29"
    assert str(date(2022, 10, 29) + timedelta(offset)) == done["text"]


def test_every_line_has_one_verdict():
    done = lines(
        b"\xef\xbb\xbf{}", b"oops", b"\xff\xfe", b"[1]", b"[" * 100_000, b"", {"id": 3, "text": "x"},
        {"id": 4, "patient": "p", "text": None}, {"id": 5, "patient": "p", "text": "x", "date": "soon"},
        {"id": 6, "patient": "p", "text": "患儿咳嗽"},
    )  # fmt: skip
    assert [x.get("rejected") for x in done] == [
        "no_text", "not_a_note", "not_a_note", "not_a_note", "not_a_note", "no_patient", "no_text",
        "bad_date",
        None,
    ]  # fmt: skip
    assert all(x["text"] is None for x in done[:-1]) and done[-1]["text"] == "患儿咳嗽"
    assert done[1]["line"] == 2


def test_a_note_in_which_a_known_value_would_be_left_is_blocked():
    """The moved date spells the known number."""
    offset = Pseudonyms(KEY).offset_days("hospital", "p", 365)
    day = date(2022, 10, 29)
    number = f"{day + timedelta(offset):%Y%m%d}"
    scrubber = Scrubber(KEY, {"p": {"ids": [number]}})
    raw = json.dumps({"id": 1, "patient": "p", "text": "检查20221029完成"}).encode()
    (done,) = scrub_lines([raw], scrubber)
    assert done["rejected"] == "known_value_left" and number not in json.dumps(done)


@pytest.mark.parametrize(
    "content, words",
    [
        ("[]", "must map"), ("{", "not JSON"), ('{"李芳": {"names": "李芳"}}', "names"),
        ('{"李芳": {"name": ["x"]}}', "none of"),
    ],
)  # fmt: skip
def test_a_bad_list_of_known_values_is_refused_without_a_value(tmp_path, content, words):
    path = tmp_path / "known.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(P2MedError, match=words) as error:
        read_known(path)
    assert "李芳" not in str(error.value)


def test_the_command(tmp_path):
    (tmp_path / "k").write_text(KEY.hex())
    (tmp_path / "known.json").write_text(json.dumps(KNOWN), encoding="utf-8")
    note = json.dumps({"id": "a", "patient": "10000048", "text": "宋诗梓\ud83d咳嗽"})
    code = "from p2med.cli import main; main()"
    words = ["deid", "text", "--key", str(tmp_path / "k"), "--known", str(tmp_path / "known.json")]
    done = subprocess.run([sys.executable, "-c", code, *words], input=note.encode(), capture_output=True)
    assert done.returncode == 0 and b"1 notes, 0 rejected" in done.stderr
    assert json.loads(done.stdout.decode())["text"].startswith("[姓名]")
    missing = subprocess.run(
        [sys.executable, "-c", code, "deid", "text", "--key", str(tmp_path / "no")], capture_output=True
    )
    assert missing.returncode == 2 and len(missing.stderr.decode().splitlines()) == 1
