"""Labels from lines as radiologists and pediatricians write them."""

import re
import time

import pytest

from p2med.clinical.diagnoses import extract, icd10, mentions, simplify, vocabulary
from p2med.clinical.vocabulary import build

LINES = [
    ("支气管肺炎。", ("支气管肺炎",)),
    ("两肺支气管肺炎，右侧少量胸腔积液；未见气胸。", ("支气管肺炎", "胸腔积液")),
    ("1.急性支气管肺炎 2.小儿腹泻病", ("支气管肺炎", "腹泻")),
    ("右肺上叶大叶性肺炎，较前部分吸收。", ("大叶性肺炎",)),
    ("肺炎支原体肺炎", ("支原体肺炎",)),
    ("肺炎支原体抗体阳性", ()),
    ("肺炎链球菌培养阳性，支气管炎", ("支气管炎",)),
    ("急性毛细支气管炎", ("毛细支气管炎",)),
    ("喘息性支气管炎", ("喘息性支气管炎",)),
    ("两肺过度充气，符合毛细支气管炎改变。", ("肺气肿", "毛细支气管炎")),
    ("考虑支气管肺炎可能，请结合临床。", ("支气管肺炎",)),
    ("右下肺炎症考虑", ("肺炎",)),
    ("右肺中叶炎症", ("肺炎",)),
    ("支气管肺炎可能性大", ("支气管肺炎",)),
    ("肺炎可能", ()),
    ("支气管扩张可能大", ("支气管扩张",)),
    ("肺结核不除外 右侧胸腔积液", ("胸腔积液",)),
    ("未见 气胸", ()),
    ("小儿腹泻待查。", ("腹泻",)),
    ("肺结核待排", ()),
    ("支气管炎；肺炎？", ("支气管炎",)),
    ("不除外肺结核", ()),
    ("肺结核不能除外，支气管肺炎", ("支气管肺炎",)),
    ("排除肺结核", ()),
    ("肺结核已排除", ()),
    ("未见胸腔积液及气胸", ()),
    ("未见明显肺炎、胸腔积液、气胸征象", ()),
    ("未见肺实变但见少量胸腔积液", ("胸腔积液",)),
    ("两肺未见实质性病变，肺不张", ("肺不张",)),
    ("无胸腔积液，右上肺不张", ("肺不张",)),
    ("不考虑支气管炎", ()),
    ("既往哮喘", ()),
    ("哮喘病史；急性上呼吸道感染", ("上呼吸道感染",)),
    ("有肺炎史", ()),
    ("肺炎吸收后改变", ()),
    ("胸腔积液基本吸收，支气管肺炎", ("支气管肺炎",)),
    ("两肺心膈未见明显异常。", ("正常",)),
    ("心肺未见明显异常", ("正常",)),
    ("正常", ("正常",)),
    ("心影正常，支气管炎", ("支气管炎",)),
    ("右肺支气管肺炎，心膈未见异常", ("支气管肺炎",)),
    ("支气管肺炎。两肺炎症较前增多。", ("支气管肺炎",)),
    ("新型冠状病毒肺炎可能性大", ("新型冠状病毒肺炎",)),
    ("重症肺炎 Ⅰ型呼吸衰竭", ("重症肺炎", "呼吸衰竭")),
    ("急性喉炎,急性上呼吸道感染", ("喉炎", "上呼吸道感染")),
    ("上感，消化不良", ("上呼吸道感染", "消化不良")),
    ("小儿肺炎，先心病（室间隔缺损）", ("肺炎", "室间隔缺损")),
    ("ＣＯＶＩＤ-19", ("新型冠状病毒肺炎",)),
    ("Right lower lobe pneumonia with small pleural effusion.", ("肺炎", "胸腔积液")),
    ("No focal consolidation, pleural effusion, or pneumothorax.", ()),
    ("No acute cardiopulmonary abnormality.", ("正常",)),
    ("Possible atelectasis. Cardiomegaly.", ("心脏增大",)),
    ("History of asthma. Bronchopneumonia", ("支气管肺炎",)),
    ("右肺中叶多发小结节，左肺下叶少许炎症", ("肺结节", "肺炎")),
    ("心包、左侧胸腔少量积液", ("心包积液", "胸腔积液")),
    ("肝、肾小囊肿", ("肝囊肿", "肾囊肿")),
    ("右侧第5肋陈旧骨折", ("肋骨骨折",)),
    ("左肺门、纵隔淋巴结肿大", ("淋巴结肿大",)),
    ("左肺门及纵隔淋巴结转移", ("淋巴结转移",)),
    ("左肺下叶支气管炎，结节不除外", ("支气管炎",)),
    ("双肺未见明显炎症及结节", ()),
    ("肺部未见明确炎性改变", ()),
    ("肝大小正常", ()),
    ("MPP合并CVA", ("支原体肺炎", "哮喘")),
    ("apical cap, ill-defined opacity", ()),
    ("发热原因待查；肝占位性质待定", ("发热", "肝占位")),
    ("肺炎待查", ()),
    ("否认肝炎、结核病等传染病史", ()),
    ("上个月诊断为肺炎，现咳嗽", ("咳嗽",)),
    ("胆囊切除术后，脂肪肝", ("脂肪肝",)),
    ("先天性心脏病术后；支气管肺炎", ("支气管肺炎",)),
    ("肺炎治疗后，较前好转", ("肺炎",)),
    ("结合病史考虑支气管异物", ("支气管异物",)),
    ("是不是手足口病？没发烧", ()),
    ("肺结核及肺脓肿不除外", ()),
    ("肺炎？心膈未见异常", ()),
    ("右肺见低密度灶，余未见明显异常", ()),
    ("无明显诱因咳嗽", ("咳嗽",)),
    ("右肺下叶斑片影，考虑炎症", ("肺炎",)),
    ("右肺结节影，不除外转移", ("肺结节",)),
    ("左肺上叶结节；考虑转移", ("肺结节",)),
    ("肝内低密度灶，囊肿可能性大", ("肝囊肿",)),
    ("右肺斑片影，脾区感染", ()),
    ("最可能的诊断：支气管异物", ("支气管异物",)),
    ("这是过敏性鼻炎吗？", ()),
    ("病毒性脑膜炎；化脓性脑膜炎待排", ("病毒性脑膜炎",)),
    ("副流感病毒肺炎", ("病毒性肺炎",)),
    ("副流感病毒阳性", ()),
    ("直肠腺癌，直肠癌", ("结直肠癌",)),
    ("", ()),
]


@pytest.mark.parametrize("text, labels", LINES)
def test_a_line_as_a_doctor_writes_it(text, labels):
    assert extract(text) == labels


@pytest.mark.parametrize(
    "text, status",
    [
        ("气胸", "affirmed"),
        ("未见气胸", "negated"),
        ("气胸待排", "uncertain"),
        ("疑似气胸", "uncertain"),
        ("气胸术后", "history"),
        ("气胸（-）", "negated"),
        ("气胸（？）", "uncertain"),
    ],
)
def test_a_mention_says_where_and_how(text, status):
    (mention,) = mentions(text)
    assert (mention.label, mention.status) == ("气胸", status)
    assert text[mention.start : mention.end] == "气胸"


@pytest.mark.parametrize("denial", ["未见", "无", "未见明显", "否认", "没有", "未发现"])
@pytest.mark.parametrize("label", ["胸腔积液", "气胸", "肺炎", "肺不张", "支气管肺炎", "哮喘"])
def test_every_denial_denies_every_disease(denial, label):
    assert extract(label) == (label,)
    assert extract(denial + label) == ()


def test_every_spelling_of_the_vocabulary_is_found_as_its_own_label():
    known = vocabulary()
    said = {s: s.upper() if s in known.capitals else s for s in known.label_of}
    wrong = {
        s: extract(said[s]) for s, label in known.label_of.items() if label and extract(said[s]) != (label,)
    }
    assert wrong == {}
    assert len(set(known.label_of.values())) > 80


def row(label: str, synonyms: str, broader: str = "") -> dict[str, str]:
    return {"label_zh": label, "label_en": "", "synonyms": synonyms, "broader": broader, "icd10": ""}


def test_a_spelling_of_two_labels_and_an_unknown_kind_are_refused():
    with pytest.raises(ValueError, match="belongs to two labels"):
        build([row("肺炎", "肺部感染"), row("支气管炎", "肺部感染")])
    with pytest.raises(ValueError, match="broader names no label"):
        build([row("支气管肺炎", "", "肺炎")])


def test_a_code_is_icd_10_or_absent():
    known = vocabulary()
    odd = {x: c for x, c in known.icd10.items() if c and not re.fullmatch(r"[A-Z]\d{2}(\.\d)?", c)}
    assert odd == {}
    assert known.icd10["支气管肺炎"] == "J18.0" and icd10("不在表里") == ""


def test_a_general_label_gives_way_to_its_kinds():
    assert simplify(["肺炎", "新型冠状病毒肺炎", "正常"]) == ("新型冠状病毒肺炎",)


def test_eleven_thousand_records_take_seconds():
    start = time.process_time()
    for n in range(11_000):
        extract(f"{n}.支气管肺炎，右侧少量胸腔积液；未见气胸，心膈未见明显异常，考虑肺炎支原体感染可能。")
    assert time.process_time() - start < 8
