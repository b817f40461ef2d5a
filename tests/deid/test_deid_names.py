"""Names go after every role, before every title, in signatures and in any script; words stay words."""

import random
from collections.abc import Collection

import pytest

from p2med.deid.folding import fold
from p2med.deid.known import Known, known_spans
from p2med.deid.text import LAYERS, left, scrub

NOBODY = Known()
# What the rules alone do; the networks have tests of their own.
RULES = [layer for layer in LAYERS if layer != "tagger"]


def replaced(text: str, known: Known = NOBODY, layers: Collection[str] = RULES) -> list[str]:
    done = scrub(text, known, -30, layers=layers)
    return [text[r.start : r.end] for r in done.replaced if r.kind == "name"]


ROLES = (
    "患儿 患者 姓名 家属 家长 父亲 母亲 其父 陪护 陪护人 联系人 监护人 医师签名 主治医师 护士 报告医师 审核 "
    "记录者 会诊医师 术者 一助 麻醉医师 "
    "器械护士 病史提供者 外婆 姑姑 班主任 同学 司机 社工 流调员 灌注师 证明人 翻译 助产士 捐赠者 转运医师"
).split()
NAMES = "宋诗梓 李芳 欧阳晓彤 司马杰 覃箬 阿依古丽·买买提 卓玛央金 葛志强 单雄信 尉迟明".split()
FRAMES = ("{}：{}。", "{}{}，已知情", "{}（{}）", "{} {} ", "【{}】{}", "{}（签名）：{}", "{}{}诉")


@pytest.mark.parametrize("frame", FRAMES)
def test_a_name_after_any_role_goes_whole(frame):
    for role in ROLES:
        for name in NAMES:
            text = frame.format(role, name)
            hidden = scrub(text, NOBODY, -30).text
            assert not any(c in hidden[len(role) :] for c in name.replace("·", "")), text


@pytest.mark.parametrize(
    "text, name",
    [
        ("2022-10-29 07:15 李海燕/王建国", "李海燕"),
        ("2022-10-29 07:15 李海燕/王建国", "王建国"),
        ("今日王主任查房", "王"),
        ("请欧阳教授会诊", "欧阳"),
        ("李芳之子，生后3天", "李芳"),
        ("张伟主任医师查房记录", "张伟"),
        ("家长姓宋，免留全名", "宋"),
        ("宋某某，男", "宋"),
        ("小名：豆豆", "豆豆"),
        ("曾用名 王铁柱", "王铁柱"),
        ("Patient name: Emily Johnson.", "Emily Johnson"),
        ("患儿Tom Smith于3天前", "Tom Smith"),
        ("ZHANG Zihan 到院", "ZHANG Zihan"),
        ("陪同Hannah Müller，", "Hannah Müller"),
        ("于敏主任查房", "于敏"),
    ],
)
def test_names_without_a_role_before_them(text, name):
    assert name in replaced(text, layers=LAYERS)


CLINICAL = """患儿高热3天，安静，方才入睡，时有咳嗽，常规检查，余无特殊，史无特殊，任何不适随诊
父亲高血压，母亲白血病史，爷爷糖尿病，哥哥哮喘，家长否认，医生认为，护士交班，主任查房，上级医师查房
考虑川崎病，克氏征、布氏征、巴氏征阴性，墨菲征阳性，安格尔曼综合征，夏科-马里-图思病，豪-焦小体，杨氏模量
万古霉素、阿奇霉素、马来酸氯苯那敏、黄芪、白术、石膏、车前草、丁桂儿脐贴、金莲清热泡腾片、伏立康唑
主管医生、值班医师、随车护士、班主任、患儿Apgar评分、CT MRI检查、L/min、患儿WBC 12
索条影、印戒征、双肺、左肺、诸骨、金黄色葡萄球菌、百日咳鲍特菌、莫罗反射、海姆利克手法
曾于当地医院就诊，由外院转入，于晨起发热，经抗感染治疗好转""".splitlines()


@pytest.mark.parametrize("text", CLINICAL)
def test_words_of_medicine_are_no_names(text):
    assert scrub(text, NOBODY, -30).text == text


KNOWN = Known.of(
    names=("宋诗梓", "欧阳乐", "Emily Johnson", "高兴", "安静"),
    ids=("ZY0001234",),
    phones=("+86 13871896132",),
)


@pytest.mark.parametrize(
    "written",
    "宋 诗 梓|宋·诗·梓|宋\u200b诗梓|诗梓|梓梓|小梓|Song Shizi|SHIZI SONG|"
    "Song S.Z.|S.S.Z.|SSZ|sòng shī zǐ|songshizi|Song Shi-Zi|"
    "欧阳乐|歐陽樂|Ouyang Le|Auyeung Yue|Johnson, Emily|E. Johnson|高兴|"
    "ＺＹ ０００１２３４|ZY-000-1234|138 7189 6132|一三八七一八九六一三二".split("|"),
)  # fmt: skip
def test_a_known_value_is_found_however_it_is_written(written):
    text = f"今日查看{written}，精神可"
    assert left(text, KNOWN)
    done = scrub(text, KNOWN, -30)
    assert not left(done.text, KNOWN) and done.text.startswith("今日查看[") and done.text.endswith("精神可")


@pytest.mark.parametrize(
    "text", ["SpO2 95%，WBC 12.5，CT示肺炎", "入睡后安静，无气促", "L/min，SZ，CRP 36", "编码区第1234位"]
)
def test_what_only_resembles_a_known_value_stays(text):
    assert scrub(text, KNOWN, -30).text == text


def test_a_name_that_is_a_word_goes_where_a_role_says_so():
    assert replaced("患儿安静于3天前起病", KNOWN) == ["安静"]


def test_a_given_name_that_is_a_word_goes_beside_kin_alone():
    known = Known.of(names=("陈小红",))
    assert replaced("小红妈妈诉：昨晚又烧，晨起小红点消退", known) == ["小红"]
    assert replaced("小红的奶奶代诉", known) == ["小红"]


def test_spans_are_offsets_of_the_original_in_any_width():
    text = "①患儿宋　诗　梓℃，ＺＹ０００１２３４。"
    found = {text[s:e] for s, e, _ in known_spans(fold(text), text, KNOWN)}
    assert {"宋　诗　梓", "ＺＹ０００１２３４"} <= found


def test_random_people_in_random_notes():
    """At CI size; bench/deid_text.py has the full one."""
    random_ = random.Random(3)
    surnames, given = (
        "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗",
        "建国 秀英 子涵 梓萱 一诺 浩然 思琪 敏 磊 雨桐".split(),
    )
    missed = 0
    for _ in range(600):
        name = random_.choice(surnames) + random_.choice(given)
        text = random_.choice(
            ["术者{}，", "外婆{}代诉", "由护士{}陪同", "签名：{}", "同桌{}也有发热", "{}主任医师：同意"]
        ).format(name)
        missed += name not in replaced(text)
    assert missed <= 3


@pytest.mark.parametrize(
    "text",
    [
        "我家宝宝满月时医生叫我们补钙",
        "第二月体检时医生又叫我们喂",
        "必要时护士协助",
        "口服安尔宁",
    ],
)
def test_a_word_before_a_title_is_no_family_name(text):
    assert scrub(text, NOBODY, -30).text == text


@pytest.mark.parametrize(
    "text, names",
    [
        ("患儿宋诗梓，3岁。诗梓昨晚咳嗽", ["宋诗梓", "诗梓"]),
        ("小名：多多，多多今天好", ["多多", "多多"]),
        ("是虎子的小姨接的", ["虎子"]),
        ("家里人都叫他牛牛，2岁半。牛牛咳嗽", ["牛牛", "牛牛"]),
        ("维吾尔族。姓名：哈斯额尔敦。哈斯额尔敦咳嗽", ["哈斯额尔敦", "哈斯额尔敦"]),
        ("我姓秦想问一下", ["秦"]),
        ("昨晚唐郑两位老师值班", ["唐郑"]),
        ("高压氧后转入。车主郑玉英。", ["郑玉英"]),
        ("夜班袁萍刚交白班邱根萍。", ["袁萍刚", "邱根萍"]),
        ("thank you for referring Arjun Patel (DOB", ["Arjun Patel"]),
        ("Mom Anna Kowalska, cell", ["Anna Kowalska"]),
        ("记录者：陈炎", ["陈炎"]),
    ],
)
def test_names_by_what_stands_around_them(text, names):
    assert replaced(text, layers=LAYERS) == names


@pytest.mark.parametrize(
    "text",
    [
        "诊　断 ： 支 气 管 肺 炎",
        "右肺下叶为著，左肺上叶尖后段见斑片影，鼻窦内见软组织影",
        "孩子慢慢好转，患儿天天咳嗽",
        "关节炎，卵巢囊肿，Down Syndrome, Ross Procedure",
        "阿比多尔可能性大，米力农可能性大，患儿石骨症诊断明确",
        "逐层阅读薄厚适中的轴位图像。居家护理，勤喂水",
    ],
)
def test_clinical_words_are_nobody(text):
    assert replaced(text) == []


@pytest.mark.parametrize(
    "text, names",
    [
        ("皮肤清洁。记录 寸金 2019/03/01", ["寸金"]),
        ("技师:铁英　护士:燕妮", ["铁英", "燕妮"]),
        ("主治医师：沙力克江\n复核：简单/阳光", ["沙力克江", "简单", "阳光"]),
        ("体温正常。葛优优记。", ["葛优优"]),
        ("交：牟伟 接：呼延雪", ["牟伟", "呼延雪"]),
        ("药已发。\n米娜瓦尔副主任医师", ["米娜瓦尔"]),
        ("药已发。\n牟成美", ["牟成美"]),
    ],
)
def test_who_signs_has_any_name(text, names):
    assert set(names) <= set(replaced(text))


@pytest.mark.parametrize(
    "text",
    [
        "护士交班。医师查房，主治同意。记录完整",
        "患者：还咳\n医生：嗯嗯\n患者：好的\n医生：加强护理",
        "检查是肺炎，会诊建议手术。接诊后留观，复查医生考虑好转。",
        "值班医生开药。请放射科主任医师阅片，暂停用药。",
    ],
)
def test_what_signers_do_is_no_name(text):
    assert replaced(text) == []


@pytest.mark.parametrize(
    "text, names",
    [
        ("患儿W.J.Y，女，2岁", ["W.J.Y"]),
        ("签：HXL\n", ["HXL"]),
        ("9:10 WYT\n换瓶 9:58 GHM\n", ["WYT", "GHM"]),
        ("患儿LZX，编号7", ["LZX"]),
        ("ZRH请假", ["ZRH"]),
        ("核：L.M/TT\n", ["L.M", "TT"]),
        ("名牌上写CHAN TSZ KIT，", ["CHAN TSZ KIT"]),
        ("Lucas家长要求", ["Lucas"]),
    ],
)
def test_initials_and_names_in_capitals(text, names):
    assert set(names) <= set(replaced(text))


@pytest.mark.parametrize(
    "text", ["患儿CRP，PCT高，MRI\n", "T-SPOT、MS-MLPA、BI-RADS\n", "医师 DR\n，8 P.M.，Gram染色，Turner征"]
)
def test_abbreviations_are_no_initials(text):
    assert replaced(text) == []


@pytest.mark.parametrize(
    "text, names",
    [
        ("修医生：家属已同意", ["修"]),
        ("乡镇茶医生已转诊", ["茶"]),
        ("匡氏患儿，弃婴", ["匡"]),
        ("邻居老汪咳嗽", ["汪"]),
        ("娃娃，刀姓，傣族", ["刀"]),
        ("外婆代诉：豆豆昨晚起高热", ["豆豆"]),
        ("小核桃妈妈您好", ["小核桃"]),
        ("未测。沐辰哭闹，物理降温", ["沐辰"]),
        ("20床的虎子喘得厉害", ["虎子"]),
        ("患儿浩然，脑瘫", ["浩然"]),
        ("陪同者（石头）签字", ["石头"]),
    ],
)
def test_a_family_name_and_a_given_name_alone(text, names):
    assert replaced(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "女医生查房，该医生建议，急诊医生，小便黄，小儿咳嗽，阿姨说",
        "慢慢好转，昨晚哭闹。体温正常。大便黄。已予利尿剂",
        "父：体健，母：体健，查：双肺呼吸音清，单：1张",
        "请假，石头堆旁摔倒，糯米饭",
    ],
)
def test_words_before_titles_and_verbs_are_nobody(text):
    assert replaced(text) == []


def test_a_known_name_ends_where_it_ends():
    assert replaced("家属福禄陪练，", Known.of(names=("福禄",))) == ["福禄"]


def test_a_given_name_never_ends_in_what_somebody_does():
    assert "彭程审" not in replaced("次仁央金记，彭程审。") and "陆婷接" not in replaced("交，陆婷接")


@pytest.mark.parametrize(
    "text, names",
    [
        ("邻居沙马小军翻译", ["沙马小军"]),
        ("护工吉克伍支转述", ["吉克伍支"]),
        ("翻译热依汗古丽在场", ["热依汗古丽"]),
        ("表姐白玛曲珍(8岁", ["白玛曲珍"]),
        ("志愿者达瓦\n对象", ["达瓦"]),
        ("弟弟布和（4岁，供者）", ["布和"]),
        ("贵院查干巴特尔医生转来", ["查干巴特尔"]),
    ],
)
def test_minority_names_without_a_dot(text, names):
    assert set(names) <= set(replaced(text))


@pytest.mark.parametrize("text", ["巴图征阳性，努尔综合征，格林试验", "巴氏染色，达瓦综合征"])
def test_syllables_of_minority_names_in_words_stay(text):
    assert replaced(text) == []


@pytest.mark.parametrize("name", ["罗湉曈", "刘 芃 祎", "何萱颢", "张湉韬"])
def test_a_name_with_characters_that_texts_hardly_have_goes_where_nothing_announces_it(name):
    for text in (f"予{name}查血常规及胸片。", f"今日查看{name}，精神反应可。", f"{name}目前病情平稳。"):
        for layers in (RULES, LAYERS):
            done = scrub(text, NOBODY, -30, layers=layers).text
            assert not set(name.replace(" ", "")) & set(done), (layers, done)
