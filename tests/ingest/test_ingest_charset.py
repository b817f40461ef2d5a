"""Chinese bytes under right, wrong and missing labels; every header is made with its truth."""

import random
from collections import Counter

import pytest
from header_maker import (
    HOSPITAL,
    PATIENT_ID,
    PATIENT_NAME,
    RIGHT,
    STUDY_TEXT,
    WRONG,
    child,
    escaped,
    foreign_headers,
    header,
    headers_of,
)
from hypothesis import assume, given
from hypothesis import strategies as st

from p2med.errors import DataError
from p2med.imaging.charset import repair
from p2med.imaging.header import parse
from p2med.imaging.identity import canonical_id, canonical_name
from p2med.ingest.header import read_instance


def said(content: bytes, *tags):
    dataset = parse(content, pixels=False)
    findings = repair(dataset)
    return tuple(str(dataset[t].value) for t in tags), findings


def test_headers_under_every_label_are_read_and_one_child_is_one_patient():
    rng = random.Random(11)
    right, names_of_child = Counter(), []
    for number in range(60):
        names = set()
        for made in headers_of(child(rng, number), rng):
            texts, findings = said(made.content, *made.truth)
            right[made.kind, texts == tuple(made.truth.values())] += 1
            assert made.kind.startswith("right") <= (not findings)
            name, number_read = dict(zip(made.truth, texts, strict=True))[PATIENT_NAME], texts[1]
            names.add((canonical_name(name), canonical_id(number_read)))
        names_of_child.append(len(names))
    assert {kind.split("/", 1)[1] for kind, _ in right} == {*RIGHT, *WRONG}
    assert all(ok for _, ok in right) and set(names_of_child) == {1}


def test_names_of_other_scripts_under_their_labels_stay_as_they_are():
    for made in foreign_headers():
        texts, findings = said(made.content, *made.truth)
        assert (texts, findings) == (tuple(made.truth.values()), []), made.kind


@given(
    name=st.text(
        st.characters(codec="gb2312", min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=4
    )
)
def test_a_declared_chinese_name_is_never_changed(name):
    assume("锟斤拷" not in name and "烫烫烫" not in name)  # these are what is left of lost characters
    for codec, term in (("gb18030", "GB18030"), ("utf-8", "ISO_IR 192"), ("gbk", "GBK")):
        assert said(header(term, {PATIENT_NAME: name.encode(codec)}), PATIENT_NAME)[0] == (name,)
    assert said(header("\\ISO 2022 IR 58", {PATIENT_NAME: escaped(name, False)}), PATIENT_NAME)[0] == (name,)


def test_evidence_names_what_was_read_how_and_no_value():
    content = header("ISO_IR 100", {PATIENT_NAME: "林^小豆".encode("gbk"), PATIENT_ID: b"P1"})
    (finding,) = read_instance(content, "x").repairs
    assert (finding.keyword, finding.declared, finding.read_as) == ("PatientName", "ISO_IR 100", "gb18030")
    assert finding.why == "declared_wrong" and finding.margin_bits > 20
    assert "林" not in repr(finding) and "小豆" not in repr(finding)


def test_an_undecidable_value_follows_the_files_other_values():
    alone = header(None, {STUDY_TEXT: "胸CT".encode("gbk")})
    together = header(None, {STUDY_TEXT: "胸CT".encode("gbk"), PATIENT_NAME: "林^小豆".encode("gbk")})
    assert said(together, STUDY_TEXT)[0] == ("胸CT",)
    texts, findings = said(alone, STUDY_TEXT)
    assert texts[0] in ("胸CT", "") and (texts[0] or findings[0].why == "charset_undecidable")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("林^小豆".encode("big5") + b"\xff\xfe\x80", "no_charset_fits"),
        (b"\xaf\xdd\xb3\xa1^\xa4p\xa8\xa7", "no_charset_fits"),
        ("林^\ufffd\ufffd".encode(), "characters_lost"),
        ("锟斤拷锟斤拷".encode("gbk"), "characters_lost"),
        (b"\x1b$(Qabc\x1b(B", "no_charset_fits"),
    ],
)
def test_a_name_that_no_character_set_explains_is_quarantined(name, reason):
    with pytest.raises(DataError) as error:
        read_instance(header("ISO_IR 100", {PATIENT_NAME: name, PATIENT_ID: b"P1"}), "x")
    assert error.value.reason == reason and "PatientName" in error.value.detail


def test_a_description_that_nothing_explains_is_emptied_and_the_file_stays():
    content = header(
        "ISO_IR 100", {STUDY_TEXT: b"\xaf\xdd\xff\xa1\x80", PATIENT_NAME: b"Lin", PATIENT_ID: b"P1"}
    )
    instance = read_instance(content, "x")
    assert [(f.keyword, f.read_as) for f in instance.repairs] == [("StudyDescription", "")]


def test_an_element_of_64_bytes_may_end_inside_a_character():
    text = ("阳光儿童医院放射科" * 3).encode()[:64]
    whole = text.decode(errors="ignore")
    texts, findings = said(header("GB18030", {HOSPITAL: text}), HOSPITAL)
    assert texts == (whole,) and findings[0].why == "cut_off"


def test_the_second_byte_of_a_hanzi_is_no_delimiter():
    """GBK trail bytes 5C and 5E look like backslash and caret to what splits bytes."""
    for name in ("乗^誠", "俓^昞"):
        assert {0x5C, 0x5E} & set(name.replace("^", "").encode("gbk"))
        assert said(header("ISO_IR 100", {PATIENT_NAME: name.encode("gbk")}), PATIENT_NAME)[0] in (
            (name,),
            ("",),
        )
        assert said(header("GB18030", {PATIENT_NAME: name.encode("gbk")}), PATIENT_NAME)[0] == (name,)


@pytest.mark.parametrize("name", ["薛^小小", "陆^路鲁", "谈^叶袁", "Tan^Ye=谈^叶袁", "郑^梅"])
@pytest.mark.parametrize("declared", ["ISO_IR 192", None])
def test_a_name_that_is_two_names_is_not_guessed(name, declared):
    """The bytes of GBK are UTF-8, too: a child must not get a second name."""
    for nested in (False, True):
        alone = header(declared, {PATIENT_NAME: name.encode("gbk"), PATIENT_ID: b"P1"}, nested)
        if said(alone, PATIENT_NAME)[0] != (name,):
            with pytest.raises(DataError, match="charset_undecidable"):
                read_instance(alone, "x")
    shown = {PATIENT_NAME: name.encode("gbk"), HOSPITAL: "阳光儿童医院".encode("gbk")}
    assert said(header(declared, shown, True), PATIENT_NAME)[0] == (name,)
    meant = {PATIENT_NAME: name.encode("gbk"), HOSPITAL: "阳光儿童医院".encode()}
    assert said(header("ISO_IR 192", meant), PATIENT_NAME)[0] == (name.encode("gbk").decode(),)


def test_spellings_of_a_number_and_of_a_name_are_one():
    assert {canonical_id(t) for t in (" p10 01", "Ｐ１００１", "P1001\0", "　P1001")} == {"P1001"}
    names = ("阿依古丽·买买提", "A^B=阿依古丽•买买提", "阿依古丽^买买提", "阿依古丽 . 买买提")
    assert {canonical_name(t) for t in names} == {"阿依古丽买买提"}
    assert canonical_name("zhang^san") == canonical_name("Zhang San") == "ZHANG SAN"


def test_half_width_katakana_are_believed_unless_the_file_shows_gbk():
    name = "江^山".encode("gbk")  # bytes that are katakana in ISO_IR 13
    assert all(b in range(0xA1, 0xE0) or b == ord("^") for b in name)
    assert said(header("ISO_IR 13", {PATIENT_NAME: name}), PATIENT_NAME)[0] == (name.decode("shift_jis"),)
    both = header("ISO_IR 13", {PATIENT_NAME: name, HOSPITAL: "阳光儿童医院".encode("gbk")})
    assert said(both, PATIENT_NAME)[0] == ("江^山",)


@pytest.mark.parametrize("term", ["utf-8", "ISO-IR 192", "ISO IR 192", "iso_ir192", "UTF8", " ISO_IR 192 "])
def test_other_spellings_of_a_term_are_that_term(term):
    assert said(header(term, {PATIENT_NAME: "林^小豆".encode()}), PATIENT_NAME) == (("林^小豆",), [])
