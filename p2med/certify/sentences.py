"""Sentences that carry a canary, or clinical words alone, each between marks by which it is found again.

◇体温呼吸脉搏食欲◇其母欧阳霁珩诉，患儿昨夜咳嗽加重。◆

The marks are sixteen clinical words, four a sentence. They were written without the rules of deid/text.py at
hand; a template's own words are what the certificate counts as clinical text that must stay.
"""

import random
import re
from collections.abc import Iterator
from datetime import date

_MARK_WORDS = ("体温 呼吸 脉搏 血压 心率 食欲 睡眠 精神 大便 小便 咽部 颈部 腹部 双肺 四肢 神志").split()
_WORD = "|".join(_MARK_WORDS)
_SENTENCE = re.compile(rf"◇((?:{_WORD}){{4}})◇(.*?)◆", re.DOTALL)
MOST = len(_MARK_WORDS) ** 4

TEMPLATES: dict[str, tuple[str, ...]] = {
    "patient_name": (
        "患儿{}，因咳嗽伴发热入院。", "今日查看{}，精神反应可。", "{}目前病情平稳，继续雾化吸入。",
        "姓名：{}，体重12.5kg。", "小儿{}昨日起咳嗽加剧。", "予{}查血常规及胸片。",
        "{}之胸片示双肺纹理增多。",
    ),
    "relative_name": (
        "其母{}诉患儿夜间气促。", "父亲{}有哮喘病史。", "家长{}签署知情同意书。", "监护人：{}。",
        "病史由外祖母{}提供。", "联系人{}，已告知病情。",
    ),
    "staff_name": (
        "{}主任医师查房后指示：继续抗感染治疗。", "经治医师：{}", "请呼吸科{}副主任会诊。", 
        "报告医师：{}，审核已完成。", "护士{}于床旁测体温38.5℃。", "外院{}医生建议住院。", "记录者：{}",
    ),
    "pinyin": ("胶片标注{}，肺野清晰。", "检查单姓名为{}。"),
    "patient_number": ("病案号：{}，既往体健。", "病历号{}的胸片已阅。", "患儿(ID:{})肺部啰音减少。"),
    "visit_number": (
        "门诊号：{}，予布地奈德雾化。", "住院号{}，入院第三天。", "就诊号 {} 的化验单未见异常。",
    ),
    "accession_number": ("检查号：{}，示右下肺斑片影。", "影像号{}，与前片相仿。"),
    "id_number": ("身份证号：{}，体温正常。", "证件号码{}已核对。", "身份证{}，无药物过敏史。"),
    "phone": (
        "联系电话：{}，随诊。", "有事请拨打{}，两周后复查胸片。", "家属手机{}，已宣教。", "电话{}无人接听。",
    ),
    "address": ("家住{}，无疫区接触史。", "现住址：{}，家中无宠物。", "居住于{}，邻居有类似病史。"),
    "institution": (
        "曾在{}就诊，予头孢克肟口服。", "就读于{}，班内有发热患儿。", "由{}转入我科。",
        "{}胸片示支气管肺炎。",
    ),
    "contact": ("家长微信：{}，便于随访。", "邮箱{}，结果电子送达。", "复诊预约请加{}。"),
    "date": (
        "与{}片比较，病灶较前吸收。", "{}开始发热，体温最高39.2℃。", "于{}行胸部CT平扫。",
        "患儿{}曾患毛细支气管炎。",
        "{}复查血常规，白细胞正常。",
    ),
}  # fmt: skip
CLINICAL = (
    "川崎病|克氏征|布氏征|巴氏征|唐氏综合征|霍奇金淋巴瘤|吉兰-巴雷综合征|帕金森病|雷诺现象|马凡综合征|阿氏评分|"
    "科氏斑|麦氏点|墨菲征|戈谢病|威尔逊病|法洛四联症|艾森曼格综合征|克罗恩病|白塞病|郎格罕细胞|许兰-亨诺紫癜|"
    "阿奇霉素|布地奈德|沙丁胺醇|头孢曲松|甲泼尼龙|异丙托溴铵|氨溴索|孟鲁司特钠|万古霉素|美罗培南|奥司他韦|"
    "红霉素|利巴韦林|丙种球蛋白|双黄连口服液|小儿肺热咳喘口服液|金莲清热泡腾片|麻杏石甘汤|板蓝根|黄芪|"
    "金黄色葡萄球菌|肺炎克雷伯菌|流感嗜血杆菌|肺炎支原体|呼吸道合胞病毒|腺病毒|百日咳|白喉|"
    "WBC 12.5×10^9/L|CRP 38mg/L|SpO2 95%|T 38.5℃|R 42次/分|PCT 0.35ng/ml|10mg/kg|1:320|3-5天|5.0mm|"
    "石膏样|安静时气促|高热惊厥|康复治疗|常规检查|江米粥|方颅|任脉|白细胞|毛细支气管炎|余无特殊|史无特殊"
).split("|")
_FRAMES = ("{}，{}，{}。", "考虑{}，予{}，监测{}。", "查体及检查：{}；{}；{}。")


def mark(number: int) -> str:
    """Four clinical words that stand for a number below MOST."""
    words = []
    for _ in range(4):
        number, place = divmod(number, len(_MARK_WORDS))
        words.append(_MARK_WORDS[place])
    return "".join(words)


def marked(number: int, sentence: str) -> str:
    return f"◇{mark(number)}◇{sentence}◆"


def number_of(words: str) -> int:
    pieces = [_MARK_WORDS.index(words[i : i + 2]) for i in range(0, 8, 2)]
    return sum(n * len(_MARK_WORDS) ** place for place, n in enumerate(pieces))


def find_sentences(text: str) -> Iterator[tuple[int, str]]:
    """(number, sentence) of every sentence whose marks are both there."""
    for found in _SENTENCE.finditer(text):
        yield number_of(found[1]), found[2]


def clinical_sentence(random: random.Random) -> tuple[str, tuple[str, ...]]:
    """A sentence without any identity, and the three terms in it."""
    terms = tuple(random.sample(CLINICAL, 3))
    return random.choice(_FRAMES).format(*terms), terms


def disguised(kind: str, value: str, random: random.Random) -> str:
    """The value as people also write it: full width, with spaces, with hyphens; mostly as it is."""
    form = random.random()
    if form < 0.6:
        return value
    if kind in ("phone", "id_number") and form < 0.8:
        groups = (3, 4, 4) if len(value) == 11 else (6, 8, 4)
        if "-" not in value:
            pieces, at = [], 0
            for size in groups:
                pieces.append(value[at : at + size])
                at += size
            return random.choice((" ", "-")).join(pieces)
    if kind.endswith("_name") and form < 0.75:
        return " ".join(value)
    if kind in ("phone", "id_number", "patient_number", "visit_number", "accession_number"):
        return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in value)
    return value


_FULL_DATES = (
    "{0.year}年{0.month}月{0.day}日", "{0:%Y-%m-%d}", "{0:%Y/%m/%d}", "{0:%Y.%m.%d}", "{0:%Y%m%d}",
    "{0.year}年{0.month:02d}月{0.day:02d}日", "{0.year}-{0.month}-{0.day}",
)  # fmt: skip
_DATES = (*_FULL_DATES, "{0.month}月{0.day}日")


def written(day: date, random: random.Random, full: bool) -> str:
    """A day as people write it; `full`: with its year."""
    return random.choice(_FULL_DATES if full else _DATES).format(day)
