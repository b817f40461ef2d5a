"""Every spelling of a date moves by the patient's offset; fractions, doses and scores do not."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2med.deid.dates import date_spans, reference_date
from p2med.deid.folding import fold
from p2med.deid.known import Known
from p2med.deid.numerals import like, number
from p2med.deid.text import scrub

NOTE = date(2022, 11, 11)


def moved(text: str, offset: int = -30, note: date | None = NOTE) -> str:
    return scrub(text, Known(), offset, note).text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("二〇二二年十月二十九日", "二〇二二年九月二十九日"),
        ("二零二二年十月廿九日", "二零二二年九月二十九日"),
        ("22/10/29就诊", "22/09/29就诊"),
        ("22年10月29日胸片", "22年9月29日胸片"),
        ("与22-10-09片比较", "与22-09-09片比较"),
        ("2022年10月29日（星期六）", "2022年9月29日(星期四)"),
        ("去年12月5日", "去年11月5日"),
        ("去年1月5日", "前年12月6日"),
        ("今年1月5日", "去年12月6日"),
        ("本月5日复诊", "10月6日复诊"),
        ("2022.10.27-10.29", "2022.09.27-9.29"),
        ("10月29日-11月2日", "9月29日-10月3日"),
        ("3月29-30日", "2月27-28日"),
        ("12月28日至1月3日", "11月28日至12月4日"),
        ("9.20起发热", "8.21起发热"),
        ("外院(9.20)查血", "外院(8.21)查血"),
        ("护士李芳 9.20", "护士[姓名] 8.21"),
        ("5 March 2022", "3 February 2022"),
        ("Mar 5, 2022", "Feb 3, 2022"),
        ("2022年9月", "2022年8月"),
        ("1.2022年10月29日行CT", "1.2022年9月29日行CT"),
        ("出院日期:20221029", "出院日期:20220929"),
        ("报告时间：20221029093015", "报告时间：20220929093015"),
        ("11-23 主任查房", "10-24 主任查房"),
        ("接收记录 06/18 因早产", "接收记录 05/19 因早产"),
        ("已签字。\n4/15 18:00 静", "已签字。\n3/16 18:00 静"),
        ("同学10.8咳\n10.8 回家\n10.9 缺勤", "同学[日期]咳\n9.8 回家\n9.9 缺勤"),
        ("本周排班（9.4—9.10）", "本周排班（8.5—8.11）"),
        ("敷料7-19更换，下次7-22。", "敷料6-19更换，下次6-22。"),
        ("7月上旬手术", "6月上旬手术"),
        ("于5月在外地", "于4月在外地"),
        ("次月3日保养", "11月3日保养"),
        ("元月8日体检", "十二月9日体检"),
        ("拟15/8上午手术", "拟16/7上午手术"),
        ("0205 36.7 120", "0106 36.7 120"),
        ("2022年2月30日", "[日期]"),
        ("农历八月十五起病", "[日期]起病"),
        ("正月初三发热", "[日期]发热"),
        ("2022年春节", "[日期]"),
        ("奶奶93岁", "奶奶[90岁以上]"),
    ],
)
def test_each_spelling_moves_and_keeps_its_form(text, expected):
    assert moved(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "4/6级杂音，肌力3/5级，右肺1/3，1/2片，淋巴结(5/17)",
        "q8h，q12h，3-5天，5-10ml，10-15-20ml，第3日，5日后，2月前，3月龄，1岁3月，病史10年3月",
        "参考值 5-15，肌力 4-5级，右肺(4-26)、(5-18)，2/3的病例，",
        "1/2片，比例 5/20，IM 3-14，病程3月来院，10.8±1.2",
        "WBC 9.20，CRP 9.20mg/L，K 3.5，体温38.5，较3.5下降",
        "08:30-10:15，1:320，120/80mmHg，3.2cm×2.1cm，T2N1M0，J18.9",
        "2019年版指南，2019-nCoV，GINA 2023，去年冬天，3岁，89岁",
    ],
)
def test_what_is_no_date_stays(text):
    assert moved(text) == text


FORMS = (
    "{0}年{1}月{2}日",
    "{0}-{1:02d}-{2:02d}",
    "{0}/{1}/{2}",
    "{0}.{1}.{2}",
    "{0}{1:02d}{2:02d}",
    "{0}年{1}月{2}号",
)


@given(
    days=st.lists(st.dates(date(1990, 1, 1), date(2030, 1, 1)), min_size=2, max_size=4),
    form=st.sampled_from(FORMS),
    offset=st.integers(-365, -1),
)
def test_every_interval_between_written_dates_is_kept(days, form, offset):
    text = "，又".join(form.format(d.year, d.month, d.day) for d in days)
    found = [t for _, _, t in date_spans(text, offset, None)]
    wanted = [form.format(m.year, m.month, m.day) for d in days if (m := d + timedelta(offset))]
    assert len(found) == len(days)
    for shown, right in zip(found, wanted, strict=True):
        assert [int(x) for x in _numbers(shown)] == [int(x) for x in _numbers(right)]


def _numbers(text: str) -> list[str]:
    if text.isdecimal():
        return [text[:4], text[4:6], text[6:]]
    return "".join(c if c.isdecimal() else " " for c in text).split()


@given(back=st.lists(st.integers(0, 300), min_size=2, max_size=3), offset=st.integers(-365, -1))
def test_days_without_a_year_keep_their_interval_to_the_notes_own_date(back, offset):
    days = [NOTE - timedelta(n) for n in back]
    text = f"记录日期：{NOTE:%Y-%m-%d}\n" + "，".join(f"{d.month}月{d.day}日" for d in days)
    found = [t for _, _, t in date_spans(text, offset, None)]
    assert found[0] == f"{NOTE + timedelta(offset):%Y-%m-%d}"
    shifted = [d + timedelta(offset) for d in days]
    assert found[1:] == [f"{d.month}月{d.day}日" for d in shifted]


def test_the_notes_date_is_read_from_the_note():
    assert reference_date("出生日期:2015-01-02\n检查日期:2022-10-29\n与2022-09-01片比较") == date(
        2022, 10, 29
    )
    assert reference_date("无日期") is None


@given(st.integers(1, 31))
def test_chinese_numerals_are_read_as_they_are_written(n):
    assert number(like("三", n)) == n == number(f"{n:02d}")


def test_offsets_are_those_of_the_unfolded_text():
    text = "℃２０２２年１０月２９日"
    ((start, end, _),) = date_spans(fold(text), -30, None)
    assert text[start:end] == "２０２２年１０月２９日"


@pytest.mark.parametrize("text", ["Apgar评分10-10-10，否认窒息史", "Apgar评分：9-10-10分", "Apgar 8-9-10"])
def test_a_score_at_birth_is_no_date(text):
    assert scrub(text, Known(), -30).text == text


@pytest.mark.parametrize(
    "text, dates",
    [
        ("体温曲线：8.27 39.1；8.28 38.4；8.29 37.2。", ["8.27", "8.28", "8.29"]),
        ("嘱11.21拔管，下周三（8.25）来拍片", ["11.21", "8.25"]),
        ("处方医师李芳，3.28。", ["3.28"]),
        ("比11.25那次好，但结节比1.15cm大", ["11.25"]),
        ("直径1.15cm，WBC 9.20，白细胞 9.21，pH 7.28，体温37.10，剂量1.25g，共6.02周期", []),
        ("我们22号的火车，7号针头，21号染色体，3号楼", ["22号"]),
        ("时间：2021/8/1214:30。", ["2021/8/12"]),
        ("元旦后再来，国庆返乡，李国庆来电", ["元旦", "国庆"]),
        ("校正月龄6月，正月里咳嗽", ["正月里"]),
    ],
)
def test_short_days_are_told_from_measurements(text, dates):
    found = [r for r in scrub(text, Known(), -77).replaced if r.kind == "date"]
    assert [text[r.start : r.end] for r in found] == dates
