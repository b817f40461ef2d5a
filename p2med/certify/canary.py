"""Invented identities that are planted and searched for: unique, of the right form, and of nobody.

    Maker(seed, taken="all input text").name() -> Name("欧阳霁珩", "OUYANG JIHENG")

Every value is new to the text that it is planted into, so that whatever is found afterwards is a leak.
"""

import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

KINDS = {
    "patient_name": "患者姓名",
    "relative_name": "家属姓名",
    "staff_name": "医务人员姓名",
    "pinyin": "姓名拼音",
    "patient_number": "病案号",
    "visit_number": "就诊号",
    "accession_number": "检查号",
    "id_number": "身份证号",
    "phone": "电话",
    "address": "住址",
    "institution": "机构与学校",
    "contact": "网络联系方式",
    "date": "日期",
    "uid": "DICOM UID",
    "header_text": "DICOM 其他字段",
    "pixel_text": "图像内文字",
}
"""The classes of the certificate, English and Chinese."""

_SURNAMES = dict(
    王="WANG", 李="LI", 张="ZHANG", 刘="LIU", 陈="CHEN", 杨="YANG", 赵="ZHAO", 吴="WU", 徐="XU", 孙="SUN",
    郭="GUO", 何="HE", 罗="LUO", 梁="LIANG", 宋="SONG", 谢="XIE", 韩="HAN", 曹="CAO", 彭="PENG", 蒋="JIANG",
    欧阳="OUYANG", 司马="SIMA", 上官="SHANGGUAN", 慕容="MURONG", 尉迟="YUCHI", 仝="TONG", 逄="PANG", 佘="SHE",
)  # fmt: skip
_GIVEN = dict(
    霁="JI", 珩="HENG", 筠="YUN", 琬="WAN", 翊="YI", 祎="YI", 蓁="ZHEN", 淇="QI", 湉="TIAN", 颢="HAO",
    骞="QIAN", 璟="JING",
    昀="YUN", 曈="TONG", 钰="YU", 芃="PENG", 葳="WEI", 岚="LAN", 泠="LING", 潇="XIAO", 煜="YU",
    垚="YAO", 嫣="YAN", 瑄="XUAN", 铭="MING", 昕="XIN", 妍="YAN", 烨="YE", 彧="YU", 涵="HAN", 萱="XUAN",
    睿="RUI", 宸="CHEN",
    玥="YUE", 骏="JUN", 晗="HAN", 芷="ZHI", 若="RUO", 沐="MU", 屹="YI", 韬="TAO", 懿="YI", 栩="XU",
)  # fmt: skip
_MINORITY = ("阿依", "古丽", "买买提", "巴特尔", "卓玛", "扎西", "乌兰", "吐尔逊", "热依汗", "其其格")
_PLACE_SYLLABLES = "郯鄞邳睢泗沭盱眙邗溧阆珙筠蓟涿蠡郾淅歙黟婺衢鄱浠麻"
_TRADES = ("路", "大道", "街", "巷", "弄")
_INSTITUTIONS = ("人民医院", "妇幼保健院", "中医院", "实验幼儿园", "中心小学", "第三中学", "社区卫生服务中心")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_ROOTS = ("1.2.840.113619.2", "1.3.12.2.1107.5", "1.2.392.200036.9116", "1.2.156.112605")


@dataclass(frozen=True)
class Canary:
    """One planted value.

    `place` is text, header or pixels. `known`: the hospital's tables or headers hold the value for this very
    patient, so deid may search for it; otherwise rules alone can find it.
    """

    kind: str
    place: str
    value: str
    known: bool
    sentence: int | None = None
    """Number of its sentence in a text."""
    day: date | None = None
    """The date that the value writes."""


@dataclass(frozen=True)
class Name:
    chinese: str
    pinyin: str


class Maker:
    """Makes values that are in no input text and that were not made before; depends on the seed alone."""

    def __init__(self, seed: int, taken: str = ""):
        self.random = random.Random(f"p2med certify {seed}")
        self.taken = taken
        self.made: set[str] = set()

    def _new(self, make: Callable[[], str]) -> str:
        for _ in range(1000):
            value = make()
            if value not in self.made and value not in self.taken:
                self.made.add(value)
                return value
        raise ValueError("no new value was found; plant fewer canaries")

    def name(self) -> Name:
        """A name of 3 or 4 characters; one in ten is of the form 阿依古丽·买买提."""
        spelled: dict[str, str] = {}

        def make() -> str:
            if self.random.random() < 0.1:
                first, second, last = self.random.sample(_MINORITY, 3)
                spelled["pinyin"] = "MINORITY " + self.letters(7).upper()
                return f"{first}{second}·{last}"
            surname = self.random.choice(list(_SURNAMES))
            given = self.random.sample(list(_GIVEN), 2)
            spelled["pinyin"] = f"{_SURNAMES[surname]} {_GIVEN[given[0]]}{_GIVEN[given[1]]}"
            return surname + "".join(given)

        return Name(self._new(make), spelled["pinyin"])

    def like(self, pattern: str, least: int = 8) -> str:
        """A number of the same form: digits for digits, letters for letters, at least `least` long."""
        form = pattern if sum(c.isdigit() for c in pattern) >= 4 else "00000000"
        form += "0" * max(0, least - len(form))

        def one(c: str) -> str:
            if c.isdigit():
                return self.random.choice(string.digits)
            return self.random.choice(string.ascii_uppercase) if c.isascii() and c.isalpha() else c

        return self._new(lambda: "".join(map(one, form)))

    def id_number(self, born: date | None = None) -> str:
        """Eighteen digits with their check digit (GB 11643-1999, ISO 7064 MOD 11-2)."""

        def make() -> str:
            day = born or date(2012, 1, 1) + timedelta(self.random.randrange(4000))
            region = self.random.choice(("320412", "330283", "340822", "411303", "513229", "622927"))
            body = f"{region}{day:%Y%m%d}{self.random.randrange(1000):03d}"
            return body + _CHECK[sum(int(c) * w for c, w in zip(body, _WEIGHTS, strict=True)) % 11]

        return self._new(make)

    def phone(self) -> str:
        def make() -> str:
            if self.random.random() < 0.2:
                area = self.random.choice((25, 571, 512, 755))
                return f"0{area}-{self.random.randrange(20_000_000, 90_000_000)}"
            start = self.random.choice(("133", "138", "139", "150", "159", "176", "186", "189", "199"))
            return f"{start}{self.random.randrange(10**8):08d}"

        return self._new(make)

    def address(self) -> str:
        def make() -> str:
            a, b, c, d = self.random.sample(_PLACE_SYLLABLES, 4)
            number, door = self.random.randrange(1, 999), self.random.randrange(101, 3299)
            return f"{a}{b}市{c}{d}区{b}{c}{self.random.choice(_TRADES)}{number}号{door}室"

        return self._new(make)

    def institution(self) -> str:
        def make() -> str:
            a, b = self.random.sample(_PLACE_SYLLABLES, 2)
            return f"{a}{b}{self.random.choice('市县区')}{self.random.choice(_INSTITUTIONS)}"

        return self._new(make)

    def contact(self) -> str:
        def make() -> str:
            return self.random.choice(
                (
                    f"{self.letters(8)}@{self.letters(5)}.com",
                    f"wx_{self.letters(6)}{self.random.randrange(10, 99)}",
                    f"{self.random.randrange(10**8, 10**10)}@qq.com",
                )
            )

        return self._new(make)

    def uid(self) -> str:
        def make() -> str:
            tail = ".".join(str(self.random.randrange(1, 10**9)) for _ in range(3))
            return f"{self.random.choice(_ROOTS)}.{tail}"

        return self._new(make)

    def day(self, last: date, within: int = 300) -> date:
        """A day at most `within` days before `last`."""
        return last - timedelta(self.random.randrange(1, within))

    def old_day(self, first: int, last: int) -> date:
        """A day of the years `first` to `last`, long before any visit, so that it can be searched for."""
        days = (date(last, 12, 31) - date(first, 1, 1)).days
        found = self._new(
            lambda: (date(first, 1, 1) + timedelta(self.random.randrange(days))).strftime("%Y%m%d")
        )
        return date(int(found[:4]), int(found[4:6]), int(found[6:]))

    def words(self) -> str:
        """A word of no meaning, for elements that hold free text."""
        return self._new(lambda: "ZQ" + self.letters(8).upper())

    def letters(self, n: int) -> str:
        return "".join(self.random.choices(string.ascii_lowercase, k=n))
