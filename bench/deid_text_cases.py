"""Patients and their values for bench/deid_text.py, drawn from lists that the rules do not know."""

import csv
import random
import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from pypinyin import lazy_pinyin

from p2med import blas  # noqa: F401  before NumPy: one thread, as `deid` has it
from p2med.deid.text import Known

HERE = Path(__file__).parent
SLOT = re.compile(r"\{([A-Za-z_0-9+\-:]+)(?:@(\d))?(?:=([^}]+))?\}")


class Lists:
    """The lists of one deid_text_values*.csv by kind; parts with blanks, or none, are divided by bars."""

    def __init__(self, path: Path) -> None:
        self._lists: dict[str, list[str]] = {}
        with open(path, encoding="utf-8", newline="") as file:
            for kind, v in csv.reader(file):
                self._lists.setdefault(kind, []).extend(v.split("|") if "|" in v else v.split())

    def __getitem__(self, kind: str) -> list[str]:
        return self._lists[kind]

    def given(self, r: random.Random, age: str) -> str:
        """A given name of a child or an adult: from a list, or one or two signs of a list of signs."""
        if age + "_given" in self._lists:
            return r.choice(self[age + "_given"])
        return "".join(r.sample(self[age + "_chars"], 1 if r.random() < 0.2 else 2))


PINYIN = {
    "李": "Li",
    "王": "Wang",
    "张": "Zhang",
    "刘": "Liu",
    "陈": "Chen",
    "杨": "Yang",
    "黄": "Huang",
    "周": "Zhou",
}


@dataclass
class Person:
    name: str
    surname: str


@dataclass
class Case:
    """One patient: the same values wherever his templates name them."""

    rng: random.Random
    lists: Lists
    again: dict[str, tuple[str, str]] = field(default_factory=dict)
    child: Person = field(init=False)
    values: dict[str, str] = field(default_factory=dict)
    known: Known = field(init=False)

    def __post_init__(self) -> None:
        r = self.rng
        self.child = person(r, self.lists, "child")
        for role in ("father", "mother", "elder"):
            self.values[role] = person(r, self.lists, "adult").name
        self.values["child"] = self.child.name
        given = self.child.name[len(self.child.surname) :]
        plain = "·" not in self.child.name and len(given) > 1
        self.values["given"] = given if plain else self.child.name
        self.values["nick"] = r.choice([given[-1] * 2, "小" + given[-1]]) if plain else self.child.name
        family = PINYIN.get(self.child.surname)
        if family:
            word = r.choice(self.lists["pinyin_given"])
            self.values["pinyin"] = r.choice(
                [
                    f"{family} {word}",
                    f"{family.upper()} {word.upper()}",
                    f"{word} {family}",
                    f"{family}, {word}",
                ]
            )
        else:
            self.values["pinyin"] = r.choice(self.lists["english_name"])
        self.values["initials"] = "".join(x[0].upper() for x in lazy_pinyin(self.child.name.replace("·", "")))
        self.birth = date(2010, 1, 1) + timedelta(r.randrange(4300))
        self.note = self.birth + timedelta(r.randrange(30, 3000))
        self.values["id"] = resident_id(r, self.birth)
        self.values["phone"] = mobile(r)
        self.values["mrn"] = r.choice(["ZY%07d", "%08d", "%07d", "00%06d"]) % r.randrange(10**6, 10**7)
        self.values["address"] = address(r, self.lists)
        self.values["home"] = address(r, self.lists, short=True)
        self.known = Known.of(
            [self.values[k] for k in ("child", "father", "mother", "elder", "pinyin")],
            [self.values["id"], self.values["mrn"]],
            [self.values["phone"]],
            [self.values["address"]],
        )

    def slot(self, name: str, key: str | None, literal: str | None) -> tuple[str, str]:
        """(text, class) of one slot: {kind}, {kind@1} the same wherever it stands, {kind=text} as it is."""
        if literal is not None:
            return literal, name
        if key is None:
            return self._slot(name)
        if name + key not in self.again:
            self.again[name + key] = self._slot(name)
        return self.again[name + key]

    def _slot(self, name: str) -> tuple[str, str]:
        r, v = self.rng, self.values
        if name in ("child", "given", "nick", "father", "mother", "elder", "pinyin"):
            return (spaced(r, v[name]) if name == "child" else v[name]), "known name"
        if name == "kin":
            return r.choice([v["father"], v["mother"], v["elder"]]), "known name"
        if name == "english":
            return r.choice(self.lists["english_name"]), "foreign name"
        if name == "initials":
            return v["initials"], "initials"
        if name == "pet":
            return r.choice(self.lists["pet"]), "pet name"
        if name == "minor":
            return r.choice(self.lists["minority_name"]), "other name"
        if name in ("doctor", "nurse", "teacher", "classmate", "stranger"):
            return person(
                r, self.lists, "child" if name == "classmate" else "adult", plain=name in ("doctor", "nurse")
            ).name, "other name"
        if name == "surname":
            return r.choice(self.lists["common_surname"]), "surname"
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
            "outpatient_labelled": lambda: f"门诊号：{r.randrange(10**6, 10**7):07d}",
            "exam": lambda: (
                r.choice(["X%d%05d", "CT%d%05d", "%d%06d", "DR-%d-%04d"]) % (2019, r.randrange(1000, 9999))
            ),
            "card": lambda: r.choice(["%010d", "A%08d", "%012d"]) % r.randrange(10**7, 10**8),
            "bed": lambda: r.choice(["%d床", "+%d床", "%02d床", "%d号床"]) % r.randrange(1, 60),
            "address": lambda: v["address"],
            "home": lambda: v["home"],
            "school": lambda: r.choice(self.lists["school"]),
            "class": lambda: r.choice(self.lists["class"]),
            "hospital": lambda: r.choice(self.lists["hospital"]),
            "company": lambda: r.choice(self.lists["company"]),
            "contact": lambda: contact(r),
            "chat": lambda: (
                r.choice(["wx%s%d", "%s_%d", "%s-%04d"])
                % ("".join(r.choices("abcdeghkmnprst", k=5)), r.randrange(100, 9999))
            ),
            "passport": lambda: r.choice(["E%08d", "G%08d", "EA%07d"]) % r.randrange(10**6, 10**7),
            "permit": lambda: f"{r.choice('HM')}{r.randrange(10**8):08d}",
            "bank": lambda: written(r, f"6217{r.randrange(10**15):015d}", (4, 12)).lstrip("+"),
            "insurance": lambda: r.choice(["%010d", "PICC%08d", "A%09d"]) % r.randrange(10**8),
            "workid": lambda: r.choice(["%05d", "D%04d", "%08d"]) % r.randrange(1000, 9999),
            "old": lambda: f"{r.randrange(90, 104)}岁",
            "village": lambda: r.choice(self.lists["village"]),
            "group": lambda: r.choice(self.lists["group"]),
            "serial": lambda: r.choice("ABEKPQ") + f"{r.randrange(10**13):013d}",
            "ip": lambda: ".".join(str(r.randrange(1, 255)) for _ in range(4)),
            "mac": lambda: r.choice(":-").join(f"{r.randrange(256):02X}" for _ in range(6)),
            "url": lambda: (
                f"https://{r.choice(['meet', 'pacs'])}.example-{r.randrange(99)}.cn/s?id={r.randrange(10**6)}"
            ),
            "plate": lambda: (
                r.choice("湘粤京川")
                + r.choice("ABCE")
                + r.choice(["·", "", " "])
                + str(r.randrange(10**4, 10**5))
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
            year = "".join("〇一二三四五六七八九"[int(c)] for c in str(d.year))
            return f"{year}年{chinese(d.month)}月{chinese(d.day)}日"
        else:
            form = "{1}.{2:02d}"
        return form.format(d.year, d.month, d.day)


def person(r: random.Random, lists: Lists, age: str, plain: bool = False) -> Person:
    roll = r.random()
    if not plain and roll < 0.05:
        name = r.choice(lists["minority_name"])
        return Person(name, name.split("·")[0])
    kind = "compound" if roll < 0.1 else "rare" if roll < 0.3 else "common"
    surname = r.choice(lists[kind + "_surname"])
    return Person(surname + lists.given(r, age), surname)


def resident_id(r: random.Random, born: date) -> str:
    body = (
        r.choice(["110105", "430104", "320106", "510107", "440304"])
        + f"{born:%Y%m%d}"
        + f"{r.randrange(1000):03d}"
    )
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11]


def mobile(r: random.Random) -> str:
    return f"1{r.choice(['38', '39', '86', '77', '52', '99', '30', '65'])}{r.randrange(10**8):08d}"


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


def address(r: random.Random, lists: Lists, short: bool = False) -> str:
    if r.random() < 0.3:
        town = (
            r.choice(lists["province_city"])
            + (r.choice(lists["district"]) or "清河县")
            + r.choice(lists["town"])
            + r.choice(lists["village"])
        )
        return town + r.choice(["三组", "5组", "12号", "二组", "第六村民小组", ""])
    where = (
        (r.choice(lists["province_city"]) + r.choice(lists["district"]))
        if not short
        else r.choice(lists["district"])
    )
    tail = r.choice(["3栋2单元501室", "12号楼1502", "5-301", "B座2304室", "8栋702"])
    return (
        where
        + r.choice(lists["street"])
        + str(r.randrange(1, 999))
        + "号"
        + (r.choice(lists["estate"]) + tail if r.random() < 0.7 else "")
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
        value, kind = case.slot(slot[1], slot[2], slot[3])
        length += len(before)
        lead = value.index("：") + 1 if slot[1] == "outpatient_labelled" else 0
        spans.append((length + lead, length + len(value), kind))
        length += len(value)
        pieces += [before, value]
        at = slot.end()
    return "".join([*pieces, template[at:]]), spans
