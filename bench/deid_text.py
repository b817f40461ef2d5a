"""Chinese notes with planted identity through `deid`'s scrubber: recall by class, over-redaction, speed.

    python bench/deid_text.py [--notes 4000] [--no-known] [--misses 40] [--templates FILE ...]

The templates (deid_text_templates.txt and *_2.txt) know nothing of the rules. Names, numbers and places are drawn here from
lists of their own. A span counts as found when every one of its characters is replaced; a character outside every
span that is replaced counts as over-redaction. The corpora of P2MED_DATA, which hold no planted identity, show what
happens to real text.
"""

import argparse
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from p2med.deid.text import Known, scrub

HERE = Path(__file__).parent
SLOT = re.compile(r"\{([A-Za-z_0-9+\-:]+)\}")
COMMON = "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
RARE = "庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂焦向柳邢路岳齐梅莫庄辛管祝左涂谷祁时舒耿牟卜詹关苗凌费纪靳盛童欧甄项曲游裴席查屈鲍覃霍翁隋甘景薄单包司柏宁柯阮桂闵解柴车冉房边吉饶瞿戚丘米池"
COMPOUND = ["欧阳", "司马", "上官", "诸葛", "皇甫", "慕容", "令狐", "夏侯", "端木", "尉迟"]
CHILD = "梓涵 子轩 欣怡 浩宇 诗涵 宇轩 一诺 雨桐 若汐 沐辰 奕辰 语桐 可馨 俊熙 佳怡 思远 铭泽 艺涵 芷若 承泽 乐 睿 瑶 航 玥 萌 安然 知夏 星辰 景行 予安 小满 果 念慈 天佑 家豪 梦洁 嘉懿 皓轩 筱雅 骏驰 云舒 恩熙 书瑶 博涵 紫萱 泽楷 麒睿 昕妤 弈".split()
ADULT = "建国 秀英 海燕 志强 丽华 国栋 春梅 立新 玉兰 文斌 晓东 雪梅 伟 芳 敏 静 磊 洋 艳 勇 军 杰 娟 涛 明 超 霞 平 刚 桂英 秀兰 红梅 永强 德胜 金凤 庆华 宝珠 凤霞 淑珍 卫东 爱华 少波 振宇 慧玲 佩珊 鹏飞 晓彤 思琪 雅琴 宏达 长青 福生 来娣 招弟 根生".split()
MINORITY = "阿依古丽·买买提 买买提江·艾山 古丽娜尔 迪丽努尔·吾买尔 扎西多吉 卓玛央金 才让卓玛 巴特尔 乌云其木格 阿卜杜拉·热合曼 格桑梅朵 努尔兰·哈力克".split()
ENGLISH = [
    "Emily Johnson",
    "Tom Smith",
    "Sophia Martinez",
    "Liam O'Brien",
    "Hannah Müller",
    "Yuki Tanaka",
    "James Wilson",
]
PINYIN = {"李": "Li", "王": "Wang", "张": "Zhang", "刘": "Liu", "陈": "Chen", "杨": "Yang", "黄": "Huang", "周": "Zhou"}  # fmt: skip
SYLLABLES = "Zihan Zixuan Xinyi Haoyu Shihan Yuxuan Yinuo Yutong Ruoxi Muchen Jiayi Siyuan Mingze Tianyou Jiahao Mengjie".split()
PROVINCE_CITY = [
    "湖南省长沙市",
    "四川省成都市",
    "广东省深圳市",
    "湖北省武汉市",
    "江苏省苏州市",
    "河南省洛阳市",
    "贵州省遵义市",
    "云南省昆明市",
    "",
    "",
    "衡阳市",
    "江西省上饶市",
]
DISTRICT = [
    "岳麓区",
    "天心区",
    "武侯区",
    "福田区",
    "江岸区",
    "姑苏区",
    "涧西区",
    "清河县",
    "平安县",
    "临江县",
    "雨花区",
    "云溪区",
    "红旗区",
    "",
]
STREET = [
    "桐梓坡路",
    "解放西路",
    "人民东路",
    "建设大道",
    "滨河北路",
    "中山路",
    "文化街",
    "八一巷",
    "梧桐大街",
    "东风路",
    "学府路",
]
ESTATE = [
    "阳光花园",
    "幸福小区",
    "碧桂园",
    "金域华府",
    "湘江世纪城",
    "锦绣家园",
    "翰林苑",
    "万科城",
    "丽景新城",
]
VILLAGE = ["红旗村", "双桥村", "石板村", "李家湾村", "大坪村", "新塘村"]
TOWN = ["大桥镇", "黄土岭镇", "白马乡", "城关镇", "龙潭乡", "沙坪街道"]
SCHOOLS = [
    "阳光幼儿园",
    "小天使幼儿园",
    "红黄蓝双语幼儿园",
    "育才小学",
    "实验小学",
    "人民路小学",
    "长郡中学",
    "第三中学",
    "博才学校",
    "滨江外国语学校",
    "岳麓区第一小学",
    "金色摇篮幼儿园",
]
CLASSES = ["大二班", "中一班", "小(3)班", "三年级2班", "一(4)班", "初一3班", "二年级", "大班"]
HOSPITALS = [
    "清河县人民医院",
    "长沙市第一医院",
    "湘雅二医院",
    "岳阳市妇幼保健院",
    "省儿童医院",
    "仁爱诊所",
    "双桥村卫生室",
    "大桥镇卫生院",
    "中国医科大学附属盛京医院",
    "株洲市中心医院",
    "北京协和医院",
    "康宁儿科门诊部",
    "衡阳市中医院",
    "广州市妇女儿童医疗中心",
]
COMPANIES = [
    "华兴电子有限公司",
    "三一重工股份有限公司",
    "利民超市",
    "富士康科技集团",
    "长沙市公安局",
    "宏达服装厂",
    "建设银行五一支行",
    "万家乐物业公司",
    "蓝天纺织厂",
]


@dataclass
class Person:
    name: str
    surname: str


@dataclass
class Case:
    """One patient: the same values wherever his templates name them."""

    rng: random.Random
    child: Person = field(init=False)
    values: dict[str, str] = field(default_factory=dict)
    known: Known = field(init=False)

    def __post_init__(self) -> None:
        r = self.rng
        self.child = person(r, CHILD)
        for role in ("father", "mother", "elder"):
            self.values[role] = person(r, ADULT).name
        self.values["child"] = self.child.name
        given = self.child.name[len(self.child.surname) :]
        plain = "·" not in self.child.name and len(given) > 1
        self.values["given"] = given if plain else self.child.name
        self.values["nick"] = r.choice([given[-1] * 2, "小" + given[-1]]) if plain else self.child.name
        family = PINYIN.get(self.child.surname)
        if family:
            word = r.choice(SYLLABLES)
            self.values["pinyin"] = r.choice(
                [
                    f"{family} {word}",
                    f"{family.upper()} {word.upper()}",
                    f"{word} {family}",
                    f"{family}, {word}",
                ]
            )
        else:
            self.values["pinyin"] = r.choice(ENGLISH)
        from pypinyin import lazy_pinyin

        self.values["initials"] = "".join(x[0].upper() for x in lazy_pinyin(self.child.name.replace("·", "")))
        self.birth = date(2010, 1, 1) + timedelta(r.randrange(4300))
        self.note = self.birth + timedelta(r.randrange(30, 3000))
        self.values["id"] = resident_id(r, self.birth)
        self.values["phone"] = mobile(r)
        self.values["mrn"] = r.choice(["ZY%07d", "%08d", "%07d", "00%06d"]) % r.randrange(10**6, 10**7)
        self.values["address"] = address(r)
        self.values["home"] = address(r, short=True)
        self.known = Known.of(
            [self.values[k] for k in ("child", "father", "mother", "elder", "pinyin")],
            [self.values["id"], self.values["mrn"]],
            [self.values["phone"]],
            [self.values["address"]],
        )

    def slot(self, name: str) -> tuple[str, str]:
        """(text, class) of one slot."""
        r, v = self.rng, self.values
        if name in ("child", "given", "nick", "father", "mother", "elder", "pinyin"):
            return (spaced(r, v[name]) if name == "child" else v[name]), "known name"
        if name == "kin":
            return r.choice([v["father"], v["mother"], v["elder"]]), "known name"
        if name == "english":
            return r.choice(ENGLISH), "foreign name"
        if name == "initials":
            return v["initials"], "initials"
        if name in ("doctor", "nurse", "teacher", "classmate", "stranger"):
            return person(
                r, CHILD if name == "classmate" else ADULT, plain=name in ("doctor", "nurse")
            ).name, "other name"
        if name == "surname":
            return r.choice(COMMON), "surname"
        if name == "id":
            return written(r, v["id"], (6, 14)), "identity card"
        if name in ("phone", "phone2"):
            return written(r, v["phone"] if name == "phone" else mobile(r), (3, 7)), "mobile phone"
        if name == "B" or name[:1] in "DMCYRSLNGKH" and name[1:2] in "-+0123456789":
            return self.day(name), "date"
        made = {
            "landline": lambda: (
                r.choice(["0731-84327%03d", "(010)6611%04d", "025 8311%04d", "400-820-%04d"])
                % r.randrange(100, 999)
            ),
            "mrn": lambda: v["mrn"],
            "outpatient": lambda: r.choice(["MZ%08d", "%09d", "M%07d"]) % r.randrange(10**6, 10**7),
            "outpatient_labelled": lambda: "门诊号：%07d" % r.randrange(10**6, 10**7),
            "exam": lambda: (
                r.choice(["X%d%05d", "CT%d%05d", "%d%06d", "DR-%d-%04d"]) % (2019, r.randrange(1000, 9999))
            ),
            "card": lambda: r.choice(["%010d", "A%08d", "%012d"]) % r.randrange(10**7, 10**8),
            "bed": lambda: r.choice(["%d床", "+%d床", "%02d床", "%d号床"]) % r.randrange(1, 60),
            "address": lambda: v["address"],
            "home": lambda: v["home"],
            "school": lambda: r.choice(SCHOOLS),
            "class": lambda: r.choice(CLASSES),
            "hospital": lambda: r.choice(HOSPITALS),
            "company": lambda: r.choice(COMPANIES),
            "contact": lambda: contact(r),
            "chat": lambda: (
                r.choice(["wx%s%d", "%s_%d", "%s-%04d"])
                % ("".join(r.choices("abcdeghkmnprst", k=5)), r.randrange(100, 9999))
            ),
            "passport": lambda: r.choice(["E%08d", "G%08d", "EA%07d"]) % r.randrange(10**6, 10**7),
            "permit": lambda: r.choice("HM") + "%08d" % r.randrange(10**8),
            "bank": lambda: written(r, "6217" + "%015d" % r.randrange(10**15), (4, 12)).lstrip("+"),
            "insurance": lambda: r.choice(["%010d", "PICC%08d", "A%09d"]) % r.randrange(10**8),
            "workid": lambda: r.choice(["%05d", "D%04d", "%08d"]) % r.randrange(1000, 9999),
            "old": lambda: f"{r.randrange(90, 104)}岁",
            "plate": lambda: (
                r.choice("湘粤京川")
                + r.choice("ABCE")
                + r.choice(["·", "", " "])
                + "%05d" % r.randrange(10**4, 10**5)
            ),
        }
        return made[name](), {"outpatient_labelled": "outpatient"}.get(name, name)

    def day(self, slot: str) -> str:
        r = self.rng
        if slot == "B":
            return r.choice(["{0}年{1}月{2}日", "{0}-{1:02d}-{2:02d}", "{0}{1:02d}{2:02d}"]).format(
                self.birth.year, self.birth.month, self.birth.day
            )
        kind, rest = slot[0], slot[1:]
        if kind == "R":
            a, b = (self.note + timedelta(int(x)) for x in rest.split(":"))
            return (
                f"{a.month}月{a.day}日-{b.month}月{b.day}日"
                if r.random() < 0.6
                else f"{a.year}.{a.month}.{a.day}-{b.month}.{b.day}"
            )
        d = self.note + timedelta(int(rest))
        if kind == "D":
            form = r.choice(
                [
                    "{0}-{1:02d}-{2:02d}",
                    "{0}年{1}月{2}日",
                    "{0}.{1}.{2}",
                    "{0}/{1}/{2}",
                    "{0}年{1:02d}月{2:02d}日",
                    "{0}-{1}-{2}",
                ]
            )
        elif kind == "M":
            form = r.choice(["{1}月{2}日", "{1}月{2}号", "{1:02d}月{2:02d}日"])
        elif kind == "H":
            form = r.choice(["{1}月{2}号", "{1}月{2}日"])
        elif kind == "N":
            return f"{d.year % 100:02d}{(s := r.choice('/-.'))}{d.month}{s}{d.day}"
        elif kind == "K":
            form = "{0}{1:02d}{2:02d}"
        elif kind == "G":
            return d.strftime(r.choice(["%d %B %Y", "%b %d, %Y", "%d-%b-%Y"]))
        elif kind == "L":
            years = self.note.year - d.year
            return ["今年", "去年", "前年"][years] + f"{d.month}月{d.day}日"
        elif kind == "Y":
            form = r.choice(["{0}年{1}月", "{0}年{1:02d}月"])
        elif kind == "C":
            return f"{''.join('〇一二三四五六七八九'[int(c)] for c in str(d.year))}年{chinese(d.month)}月{chinese(d.day)}日"
        else:
            form = "{1}.{2:02d}"
        return form.format(d.year, d.month, d.day)


def person(r: random.Random, given: list[str], plain: bool = False) -> Person:
    roll = r.random()
    if not plain and roll < 0.05:
        name = r.choice(MINORITY)
        return Person(name, name.split("·")[0])
    surname = r.choice(COMPOUND) if roll < 0.1 else r.choice(RARE if roll < 0.3 else COMMON)
    return Person(surname + r.choice(given), surname)


def resident_id(r: random.Random, born: date) -> str:
    body = (
        r.choice(["110105", "430104", "320106", "510107", "440304"])
        + f"{born:%Y%m%d}"
        + "%03d" % r.randrange(1000)
    )
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11]


def mobile(r: random.Random) -> str:
    return "1" + r.choice(["38", "39", "86", "77", "52", "99", "30", "65"]) + "%08d" % r.randrange(10**8)


def written(r: random.Random, number: str, cuts: tuple[int, int]) -> str:
    """Full width, blanks, dashes, dots: the spellings that the issue names."""
    roll = r.random()
    if roll < 0.4:
        return number
    if roll < 0.55:
        return "".join(chr(ord(c) + 0xFEE0) for c in number)
    gap = r.choice([" ", "-", ".", "  ", "\u3000", "·", "\u00a0", "—"])
    if roll < 0.9:
        return gap.join([number[: cuts[0]], number[cuts[0] : cuts[1]], number[cuts[1] :]])
    return r.choice([" ", "\u200b"]).join(number) if roll < 0.96 else "+86" * (len(number) == 11) + number


def address(r: random.Random, short: bool = False) -> str:
    if r.random() < 0.3:
        town = r.choice(PROVINCE_CITY) + (r.choice(DISTRICT) or "清河县") + r.choice(TOWN) + r.choice(VILLAGE)
        return town + r.choice(["三组", "5组", "12号", "二组", "第六村民小组", ""])
    where = (r.choice(PROVINCE_CITY) + r.choice(DISTRICT)) if not short else r.choice(DISTRICT)
    tail = r.choice(["3栋2单元501室", "12号楼1502", "5-301", "B座2304室", "8栋702"])
    return (
        where
        + r.choice(STREET)
        + str(r.randrange(1, 999))
        + "号"
        + (r.choice(ESTATE) + tail if r.random() < 0.7 else "")
    )


def contact(r: random.Random) -> str:
    word = "".join(r.choice("abcdefghkmnpqrstuvwxyz") for _ in range(6))
    return r.choice(
        [f"{word}_{r.randrange(1000)}@qq.com", f"{word}@163.com", f"{word}.{r.randrange(99)}@hospital.org.cn"]
    )


def spaced(r: random.Random, name: str) -> str:
    return name if r.random() < 0.95 or "·" in name else " ".join(name)


def chinese(n: int) -> str:
    tens, ones = divmod(n, 10)
    return ("" if tens == 0 else "十" if tens == 1 else "一二三"[tens - 1] + "十") + (
        "一二三四五六七八九"[ones - 1] if ones else ""
    )


def fill(template: str, case: Case) -> tuple[str, list[tuple[int, int, str]]]:
    pieces, spans, at, length = [], [], 0, 0
    for slot in SLOT.finditer(template):
        before = template[at : slot.start()]
        value, kind = case.slot(slot[1])
        length += len(before)
        lead = value.index("：") + 1 if slot[1] == "outpatient_labelled" else 0
        spans.append((length + lead, length + len(value), kind))
        length += len(value)
        pieces += [before, value]
        at = slot.end()
    return "".join([*pieces, template[at:]]), spans


def read_templates(paths: list[Path]) -> list[str]:
    found: list[str] = []
    for path in paths:
        lines = [x for x in path.read_text(encoding="utf-8").splitlines() if not x.startswith(("#", "=="))]
        found += [x for x in "\n".join(lines).split("\n\n") if x.strip()]
    return [t.strip("\n") for t in found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notes", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-known", action="store_true")
    parser.add_argument("--misses", type=int, default=0)
    parser.add_argument(
        "--templates", type=Path, nargs="+", default=sorted(HERE.glob("deid_text_templates*.txt"))
    )
    options = parser.parse_args()
    templates = read_templates(options.templates)
    rng = random.Random(options.seed)
    filled = []
    for n in range(options.notes):
        case = Case(random.Random(rng.random()))
        filled.append(
            (*fill(templates[n % len(templates)], case), Known() if options.no_known else case.known)
        )
    found, total = Counter(), Counter()
    over = clinical = rejected = 0
    missed, extra = [], Counter()
    seconds = 0.0
    for text, spans, known in filled:
        began = time.process_time()
        try:
            done = scrub(text, known, -77)
        except Exception as error:
            rejected += 1
            missed.append((f"rejected {getattr(error, 'reason', error)}", text))
            continue
        seconds += time.process_time() - began
        covered = [False] * len(text)
        for s in done.replaced:
            covered[s.start : s.end] = [True] * (s.end - s.start)
        truth = [False] * len(text)
        for start, end, kind in spans:
            truth[start:end] = [True] * (end - start)
            total[kind] += 1
            if all(covered[start:end]):
                found[kind] += 1
            else:
                missed.append(
                    (kind, f"{text[max(0, start - 12) : start]}<{text[start:end]}>{text[end : end + 8]}")
                )
        clinical += truth.count(False)
        wrong = [c and not t for c, t in zip(covered, truth, strict=True)]
        over += sum(wrong)
        for s in done.replaced:
            if sum(wrong[s.start : s.end]):
                extra[
                    f"{s.kind}: {text[max(0, s.start - 6) : s.start]}<{text[s.start : s.end]}>{text[s.end : s.end + 5]}"
                ] += sum(wrong[s.start : s.end])
    terms()
    say(found, total, over, clinical, rejected, len(filled), seconds, len(templates))
    for kind, where in missed[: options.misses]:
        print(f"missed {kind}: {where!r}")
    for where, count in extra.most_common(options.misses):
        print(f"extra {count} {where!r}")


FRAMES = (
    "考虑{}，建议进一步检查。", "{}可能性大", "既往有{}病史。", "予{}口服，", "患儿{}诊断明确。", "家长诉孩子用过{}。", "医师考虑{}。", "停{}，改{}。",
    "{}：阴性。", "鉴别：{}、{}。", "父亲{}。", "给予{}10mg/kg qd。", "予{}雾化吸入bid", "排除{}", "（{}）", "血培养：{}", "请问{}怎么用？",
)


def terms() -> None:
    """Every eponym and drug in every frame: none may be touched."""
    lines = (HERE / "deid_text_terms.txt").read_text(encoding="utf-8").splitlines()
    found = [t for line in lines if not line.startswith("#") for t in line.split()]
    damaged = Counter()
    for term in found:
        for frame in FRAMES:
            text = frame.replace("{}", term)
            if scrub(text, Known(), -77).text != text:
                damaged[f"{term} in {frame}"] += 1
    print(f"{len(found)} eponyms and drugs in {len(FRAMES)} frames: {len(damaged)} damaged {list(damaged)[:30]}")


def say(found, total, over, clinical, rejected, notes, seconds, templates) -> None:
    print(f"{notes} notes from {templates} templates, {sum(total.values())} spans, {rejected} notes rejected")
    for kind in sorted(total):
        print(f"{kind:<16}{found[kind]:>7}/{total[kind]:<7}{found[kind] / total[kind]:8.4f}")
    names = [k for k in total if k.endswith("name")]
    print(
        f"{'names':<16}{sum(found[k] for k in names):>7}/{sum(total[k] for k in names):<7}{sum(found[k] for k in names) / max(1, sum(total[k] for k in names)):8.4f}"
    )
    print(
        f"{'all':<16}{sum(found.values()):>7}/{sum(total.values()):<7}{sum(found.values()) / sum(total.values()):8.4f}"
    )
    print(f"over-redaction {over}/{clinical} clinical characters = {100 * over / clinical:.3f} %")
    print(f"{notes / seconds:.0f} notes/s on one core (mean {clinical / notes:.0f} clinical characters)")


if __name__ == "__main__":
    main()
