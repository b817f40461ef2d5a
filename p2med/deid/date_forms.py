"""The spellings of dates, as patterns over folded text. A fraction, a dose and a score are no dates."""

import re
from dataclasses import dataclass

_YEAR = r"(?:18|19|20)\d\d"
_CHINESE_YEAR = "[〇○零一二三四五六七八九]{4}"
_N = r"(?:\d{1,2}|[二三]?十[一二三四五六七八九]?|[廿卅][一二三四五六七八九]?|[一二三四五六七八九])"
_EVENT = (
    "胸片|胸部|胸正|平片|片|头颅|腹部|ct|dr|cr|mr|x线|x光|x-|b超|彩超|超声|心超|复查|复诊|查|我院|外院|门诊|急诊|入院|入我|出院|转|起|始|开始|"
    "发病|出现|因|行|予|就诊|来院|来诊|再次|曾|术后|手术|晨|早|晚|上午|下午|中午|夜|凌晨|日|号|血常规|血气|检查|检验|化验|报告|结果|住院|送检|"
    "停|改|加用|测|发热|发烧|咳嗽|体温|抽血|拍|做|在|于|第|痰|复|病理|晨起|至今"
)
_UNIT = (
    "℃|°|%|％|度|倍|分|厘米|毫米|毫升|升|克|公斤|斤|千克|岁|个|天|次|小时|级|左右|以上|以下|"
    "cm|mm|ml|mg|ug|μg|g|kg|l|u|iu|k|m|×|x|\\*|~|/|h|d|mmol|umol|pg|ng|s|min"
)
_OTHER_YEAR = "版|指南|共识|标准|修订|新型|新冠|年龄|年级|级学生"


@dataclass(frozen=True)
class Form:
    """One spelling; `sure`: even an impossible day of this form is a date."""

    name: str
    pattern: re.Pattern[str]
    hints: tuple[str, ...]
    sure: bool = False


def _form(name: str, pattern: str, hints: str, sure: bool = False) -> Form:
    return Form(name, re.compile(pattern, re.MULTILINE), tuple(hints), sure)


_SEPARATOR = r"\s?[-/.·—–．、]\s?"
_ENGLISH_MONTH = (
    "(?P<month>january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|"
    r"jun|jul|aug|sept?|oct|nov|dec)(?![a-z])\.?"
)
FORMS: tuple[Form, ...] = (
    _form(
        "no_calendar",
        r"(?=[\d〇○零一二三四五六七八九十去今前明农阴旧古闰正腊冬大除])"
        rf"(?:(?:{_YEAR}|{_CHINESE_YEAR}|\d\d)\s?年\s?|去年|今年|前年|明年)?(?:"
        r"(?:农历|阴历|旧历|古历)\s?(?:(?:\d{4}|[〇○零一二三四五六七八九]{4})年)?\s?闰?(?:正|腊|冬|十[一二]?|[一二三四五六七八九]|\d{1,2})月"
        r"(?:初[一二三四五六七八九十]|[二三]?十[一二三四五六七八九]?|廿[一二三四五六七八九]?|[一二三四五六七八九]|\d{1,2})?日?|"
        r"闰?(?:正|腊|冬|十[一二]?|[一二三四五六七八九])月(?:初[一二三四五六七八九十]|廿[一二三四五六七八九]?)|"
        r"(?:正月|腊月|冬月)(?:[二三]?十[一二三四五六七八九]?|\d{1,2})日?|大年(?:初[一二三四五六七八九十]|三十)|除夕(?=夜|日|当|那|晚|出|开|发|起))",
        ("月", "历", "大年", "除夕"),
    ),
    _form(
        "no_calendar",
        rf"(?:(?:{_YEAR}|{_CHINESE_YEAR})\s?年?\s?|\d\d年|去年|今年|前年|明年)的?(?:农历)?(?:春节|元旦|清明节?|五一|劳动节|端午节?|六一|儿童节|七夕|中秋节?|"
        r"国庆节?|十一|双十一|重阳节?|圣诞节?|元宵节?|小年|腊八|除夕|冬至|情人节|妇女节)",
        (
            "节",
            "一",
            "春",
            "元",
            "清明",
            "端午",
            "中秋",
            "国庆",
            "圣诞",
            "七夕",
            "冬至",
            "除夕",
            "小年",
            "腊八",
            "重阳",
        ),
    ),
    _form(
        "full",
        rf"(?<!\d)(?P<year>{_YEAR}|{_CHINESE_YEAR}|\d\d)\s*年\s*(?P<month>{_N})\s*月\s*(?P<day>{_N})\s*(?:日|号|(?![\d天个余多周岁月几]))",
        "年",
        sure=True,
    ),
    _form(
        "full",
        rf"(?<!\d)(?P<year>{_YEAR})[\-/.]\s?(?P<month>\d{{1,2}})\s?月\s?(?P<day>\d{{1,2}})\s?(?:日|号)?(?!\d)",
        "月",
        sure=True,
    ),
    _form(
        "full",
        rf"(?<!\d)(?P<year>{_YEAR}){_SEPARATOR}(?P<month>\d{{1,2}}){_SEPARATOR}(?P<day>\d{{1,2}})(?:日|号)?(?![\d%])",
        ("19", "20", "18"),
        sure=True,
    ),
    _form(
        "full",
        rf"(?<![\d.])(?P<year>{_YEAR})\s(?P<month>0\d|1[0-2]|[1-9])\s(?P<day>[0-2]\d|3[01]|[1-9])(?![\d%.]|\s?(?:{_UNIT}))",
        ("19", "20"),
    ),
    _form(
        "compact",
        r"(?<![\da-z])(?P<year>(?:19|20)\d\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])(?=\D|$|(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?(?!\d))",
        ("19", "20"),
    ),
    _form(
        "day_first",
        rf"(?<![\d/-])(?:(?P<day>1[3-9]|2\d|3[01])(?P<s>[/\-.])(?P<month>0?[1-9]|1[0-2])(?P=s)(?P<year>{_YEAR}))(?!\d)",
        ("19", "20"),
    ),
    _form(
        "day_first",
        rf"(?<![\d/-])(?P<month>0?[1-9]|1[0-2])(?P<s>[/\-.])(?P<day>0?[1-9]|[12]\d|3[01])(?P=s)(?P<year>{_YEAR})(?!\d)",
        ("19", "20"),
    ),
    _form(
        "english",
        rf"(?<![\da-z])(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s*of)?[\s\-,/]{{0,2}}{_ENGLISH_MONTH}[\s\-,/]{{0,2}}(?:(?P<year>{_YEAR}|\d\d)(?!\d))?",
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    _form(
        "english",
        rf"(?<![a-z]){_ENGLISH_MONTH}\s?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:[\s,]{{1,2}}(?P<year>{_YEAR})(?!\d))?",
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    _form(
        "full",
        rf"(?<![\d./\-a-z~])(?<!\d:)(?<!评分)(?<!评分[:是为])(?<!apgar)(?<!apgar[:\s])['’]?(?P<year>[0-3]\d)(?P<s>[./-])(?P<month>0?[1-9]|1[0-2])(?P=s)(?P<day>0?[1-9]|[12]\d|3[01])(?!\d|[./\-~]\d|\s?(?:{_UNIT}))",
        "./-",
    ),
    _form(
        "compact",
        r"(?:(?<=日期)|(?<=日期:)|(?<=时间)|(?<=时间:)|(?<=[于自从至在与较(]))(?P<year>[0-3]\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])(?!\d|\.\d)",
        ("0", "1", "2", "3"),
    ),
    _form(
        "compact",
        r"(?<![\d.a-z-])(?P<year>[0-3]\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])(?=片|ct|dr|胸片|复查|号片|日片)",
        ("片", "ct", "dr", "复查"),
    ),
    _form(
        "day",
        rf"(?=[\d一二三四五六七八九十廿卅今本当去上前明])(?:(?P<years_back>今年|本年|当年|去年|上年|前年|明年)的?|(?<![\d年]))(?P<month>{_N})\s*月\s*(?P<day>{_N})\s*(?:日|号)",
        "月",
        sure=True,
    ),
    _form(
        "day",
        rf"(?=[\d一二三四五六七八九十廿卅今本当去上前明])(?:(?P<years_back>今年|本年|当年|去年|上年|前年|明年)的?|(?<![\d年]))(?P<month>1[0-2]|0?[1-9]|十[一二]?|[一二三四五六七八九])月"
        rf"(?P<day>{_N})(?=\s*[-~—–、至到,，]\s*{_N}\s*(?:日|号)|(?![\d天个余多周岁月日号几小.前后次+]|\s*{_N}天))",
        "月",
    ),
    _form(
        "month",
        rf"(?<![a-z]){_ENGLISH_MONTH}[\s,]{{1,2}}(?P<year>{_YEAR})(?!\d)",
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    _form(
        "month",
        rf"(?<![\d.])(?P<year>{_YEAR}|{_CHINESE_YEAR})\s*年\s*(?P<month>{_N})\s*月份?(?!\s*\d)",
        "年",
        sure=True,
    ),
    _form(
        "month",
        r"(?<![\d.])(?P<year>[0-3]\d)年(?P<month>1[0-2]|0?[1-9])月(?:份|(?<=[于自从至到]\d\d年\d月)|(?<=[于自从至到]\d\d年\d\d月))(?!\d)",
        "年",
    ),
    _form(
        "month",
        rf"(?<![\d.\-/])(?P<year>(?:19|20)\d\d)[-/.](?P<month>0[1-9]|1[0-2]|[1-9])(?!\d|[-/.]\d|\s?(?:{_UNIT}))月?",
        ("19", "20"),
    ),
    _form("month_of_note", rf"(?P<years_back>今年|本年|去年|上年|前年|明年)的?(?P<month>{_N})月份?", "年"),
    _form(
        "month_of_note",
        rf"(?=[\d一二三四五六七八九十])(?<![\d.个])(?P<month>{_N})月(?=份|初|底|末|中旬|上旬|下旬|中下旬)份?",
        "月",
    ),
    _form(
        "year",
        rf"(?<![\d.])(?P<year>{_YEAR}|二[〇○零][〇○零一二三][〇○零一二三四五六七八九])年(?!{_OTHER_YEAR})",
        "年",
    ),
    _form(
        "day_of_month",
        rf"(?P<months_back>本月|当月|这个月|上月|上个月|下月|下个月)(?P<day>{_N})(?:日|号)",
        "月",
    ),
    _form(
        "day",
        r"(?:周|星期|礼拜)[一二三四五六日天]\s?\(\s?(?P<all>(?P<month>1[0-2]|0?[1-9])(?P<s>[./-])(?P<day>0?[1-9]|[12]\d|3[01]))\s?\)",
        "周期拜",
    ),
    # 3-5号, 8号或9号; not 8号床, 3号楼.
    _form(
        "day_of_month",
        r"(?:(?<=[于自从至在到是和或,。;(、:\s“”今])|^)(?P<day>[12]?\d|3[01])(?:号|\s?[-~—–至到、]\s?(?=(?:[12]?\d|3[01])号))(?!\s?(?:[床房楼院门线染窗机台桌车柜病诊手方文公馆厅桩井针刀管线电胶导球位]|\d*号[床房楼院门线染窗机台]|[a-z\d]))",
        "号",
    ),
    _form(
        "day_of_month",
        r"(?:(?<=[于自从至在到,。;(、\s今])|^)(?P<day>[12]?\d|3[01])(?:号|日)(?=上午|下午|中午|晚|早|夜|凌晨|清晨|复诊|复查|来|就诊|开始|起|去|拍|做|出院|入院|查|晨|我院|外院|行)",
        "号日",
    ),
    _form(
        "day",
        r"(?=\d)(?<=[\u4e00-\u9fff])(?<![约为达高低重长宽深量数温压率值比至较厚大小径程度有近共每予在年月])(?P<month>0?[1-9]|1[0-2])(?P<s>[.-])"
        r"(?P<day>0?[1-9]|[12]\d|3[01])(?=\s?(?:起(?!效)|开始|始|胸片|ct片|入院|出院|就诊|复诊|我院|外院|门诊查|发病))",
        ".-",
    ),
    _form(
        "day",
        r"^\s{0,4}(?P<all>(?P<month>0?[1-9]|1[0-2])\.(?P<day>0[1-9]|[12]\d|3[01]))(?=\s{1,4}[\u4e00-\u9fff]|:|\s\d\d?:)",
        ".",
    ),
    # 9.20 and 9-20 after a comma or a preposition, before what one does on a day; a figure's number is none.
    _form(
        "day",
        rf"(?=\d)(?:(?<=[,;、“])|(?<=[。\s:](?=\d\d?[.-]\d\d|\d\d?[.-]\d(?:{_EVENT})))|(?<=[于自从至到在与较距及儿者])|^)"
        rf"(?P<month>0?[1-9]|1[0-2])(?P<s>[.-])(?P<day>0?[1-9]|[12]\d|3[01])(?!\d|[./\-]\d|月|\s?(?:{_UNIT}))"
        rf"(?=\s?(?:{_EVENT})|(?<=\.\d\d)[\u4e00-\u9fff])[号日]?",
        ".-",
    ),
    _form(
        "day",
        r"(?<=[院片查规超线ctrd]\()(?P<month>0?[1-9]|1[0-2])(?P<s>[.-]|(?<=院\(\d)/|(?<=院\(\d\d)/)(?P<day>0?[1-9]|[12]\d|3[01])[号日]?(?=\s?(?:\)|,|本院|外院|我院|当地))",
        ".-/",
    ),
    _form(
        "day",
        r"(?=\d)(?:(?<=[,;、“。\s])|(?<=[于自从至到与较距儿者])|^)(?P<month>0?[1-9]|1[0-2])/(?P<day>0?[1-9]|[12]\d|3[01])(?![\d/.])"
        r"(?=\s?(?:(?<=[与较于]\d/\d)片|(?<=[与较于]\d\d/\d)片|(?<=[与较于]\d/\d\d)片|(?<=[与较于]\d\d/\d\d)片|胸片|ct|dr|复查|复诊|入院|出院|就诊|起|开始|查|日|门诊|外院|我院|发热|发病|出现|上午|下午|晚|晨))[号日]?",
        "/",
    ),
)
# The day beside a signature.
SIGNED = _form(
    "day",
    r"\s{0,3}(?P<all>(?P<month>0?[1-9]|1[0-2])(?P<s>[./-])(?P<day>0?[1-9]|[12]\d|3[01]))(?=\s*(?:$|[\n。,;)]|\d\d:))",
    "./-",
)
# 9.20 where short_dates.py finds that it is a day.
SHORT = _form("day", r"(?P<month>\d\d?)\.(?P<day>\d\d)", "")
WEEKDAY = re.compile(r"\s?\(?(?:星期|周|礼拜)(?P<weekday>[一二三四五六日天])\)?(?![岁龄至到])")
TAIL = re.compile(
    rf"\s*(?:[-~—–、]|至|到|和|及)+\s*(?:(?P<day>{_N})\s*(?P<mark>日|号)|"
    r"(?P<month>0?[1-9]|1[0-2])(?P<s>[./-])(?P<day_of_month>0?[1-9]|[12]\d|3[01])(?![\d./-]))"
)
