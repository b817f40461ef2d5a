"""Free text: each class of identity goes, clinical words stay, intervals stay."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2med.deid.dates import date_spans
from p2med.deid.text import Known, fold, left, scrub
from p2med.errors import PhiError

KNOWN = Known.of(
    names=("宋诗梓", "宋晓东", "SONG SHIZI", "高玉兰"),
    ids=("10000048", "320106201909219776", "ZY0000001"),
    phones=("13871896132",),
    addresses=("江宁市河东区滨河西路975号23室", "阳光幼儿园"),
)
NOTE = date(2022, 11, 11)


@pytest.mark.parametrize(
    "text, value",
    [
        ("患儿宋诗梓于3天前起病", "宋诗梓"),
        ("患儿宋 诗 梓，咳嗽", "宋 诗 梓"),
        ("小名诗梓，平素体健", "诗梓"),
        ("家长宋晓东代诉", "宋晓东"),
        ("NAME: Song  Shizi", "Song"),
        ("住院号ＺＹ０００００01", "ＺＹ"),
        ("身份证320106201909219776", "320106201909219776"),
        ("电话138 7189 6132", "138 7189 6132"),
        ("电话：+86-13871896132。", "13871896132"),
        ("联系电话13912345678", "13912345678"),
        ("固话025-83117500转", "025-83117500"),
        ("微信：song_2019abc", "song_2019abc"),
        ("邮箱a.song@example.org", "example.org"),
        ("家住江宁市河东区滨河西路975号23室，", "滨河西路"),
        ("现居滨河西路975号23室", "滨河西路"),
        ("就读于阳光幼儿园", "阳光幼儿园"),
        ("曾在清河县人民医院就诊", "清河县"),
        ("记录者：王建国。", "王建国"),
        ("医师签名：李秀英", "李秀英"),
        ("另一身份证号110105194912310021", "110105194912310021"),
        ("门诊号：MZ0099887", "MZ0099887"),
    ],
)
def test_identity_is_replaced(text, value):
    done = scrub(text, KNOWN, -30, NOTE)
    assert value not in done.text and fold(value) not in fold(done.text)
    assert done.replaced
    for r in done.replaced:
        assert 0 <= r.start < r.end <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "考虑川崎病，克氏征阴性，布氏征阴性。",
        "唐氏综合征患儿，霍奇金淋巴瘤病史。",
        "高热3天，白细胞12.4×10^9/L，CRP 36mg/L，SpO2 95%。",
        "予阿莫西林克拉维酸钾口服，布地奈德混悬液雾化。",
        "曾在外院就诊，转入我院，至当地医院输液。",
        "双肺可闻及湿啰音，血压90/60mmHg，体重12.5kg。",
        "病灶大小约3.2cm×2.1cm，右肺下叶。",
    ],
)
def test_clinical_text_stays_as_it_is(text):
    assert scrub(text, KNOWN, -30, NOTE).text == text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("与2022年10月29日片比较", "与2022年9月29日片比较"),
        ("与2022-10-09片比较", "与2022-09-09片比较"),
        ("2022/10/29 09:30检查", "2022/09/29 09:30检查"),
        ("10月29日起咳嗽", "9月29日起咳嗽"),
        ("2022.10.29", "2022.09.29"),
        ("2022-1-5", "2021-12-6"),
        ("检查20221029完成", "检查20220929完成"),
        ("1月5日复查", "12月6日复查"),
        ("2022年13月40日", "[日期]"),
    ],
)
def test_dates_move_and_keep_their_form(text, expected):
    assert scrub(text, KNOWN, -30, NOTE).text == expected


@given(a=st.dates(date(1900, 1, 1), date(2040, 1, 1)), b=st.dates(date(1900, 1, 1), date(2040, 1, 1)),
       offset=st.integers(-365, -1))  # fmt: skip
def test_shifting_keeps_every_interval(a, b, offset):
    def moved(day: date) -> date:
        ((_, _, text),) = date_spans(f"{day.year:04d}-{day.month:02d}-{day.day:02d}", offset, None)
        return date(*map(int, text.split("-")))

    assert moved(b) - moved(a) == b - a


@given(day=st.dates(date(2022, 1, 20), date(2022, 11, 11)), offset=st.integers(-365, -1))
def test_a_day_without_a_year_keeps_its_interval_to_the_note(day, offset):
    ((_, _, text),) = date_spans(f"{day.month}月{day.day}日", offset, NOTE)
    moved = day + timedelta(offset)
    assert text == f"{moved.month}月{moved.day}日"


@given(st.text(max_size=60))
def test_nothing_is_raised_and_folding_keeps_the_length(text):
    assert len(fold(text)) == len(text)
    assert not left(scrub(text, KNOWN, -30, NOTE).text, KNOWN)


def test_a_value_that_survives_is_refused_and_not_quoted():
    """A date that spells the known number after it is moved: the second look must see it."""
    known = Known.of(ids=("20220929",))
    with pytest.raises(PhiError) as error:
        scrub("检查20221029完成", known, -30, NOTE)
    assert error.value.reason == "known_value_left" and "2022" not in str(error.value)
