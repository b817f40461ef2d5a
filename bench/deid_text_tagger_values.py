"""Values in great variety for the training of the tagger: names, places, schools, firms, beds, days."""

import csv
import random
import re
import string
from pathlib import Path

from deid_text_names import FREQUENT

from p2med.deid.language import language
from p2med.deid.name_score import is_chinese
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

HERE = Path(__file__).parent
_NUMERALS = "一二三四五六七八九十"


class Values:
    """Draws from deid_text_tagger_values.csv, jieba's dictionary (MIT) and the house's own tables."""

    def __init__(self, dictionary: Path) -> None:
        self.lists: dict[str, list[str]] = {}
        with open(HERE / "deid_text_tagger_values.csv", encoding="utf-8", newline="") as file:
            for kind, values in csv.reader(file):
                self.lists[kind] = values.split()
        self.common = [c for n, c in enumerate(FREQUENT) for _ in range(1 + 200 // (n + 4))]
        self.rare = sorted(SURNAMES)
        given = language().given
        self.given_characters = list(given)
        self.given_odds = [2.718281828**v for v in given.values()]
        self.words: list[str] = []
        self.words_of_a_family: list[str] = []
        self.people: list[str] = []
        self.places: list[str] = []
        for line in dictionary.read_text(encoding="utf-8").splitlines():
            word, count, tag = line.split(" ")
            if not all(map(is_chinese, word)):
                continue
            if tag == "ns" and len(word) < 6:
                self.places.append(word)
            elif tag in ("nr", "nrt", "nrfg") and 1 < len(word) < 6:
                self.people.append(word)
            elif len(word) in (2, 3) and int(count) > 3 and tag[0] in "anvtil":
                if len(word) == 2:
                    self.words.append(word)
                if word[0] in SURNAMES:
                    self.words_of_a_family.append(word)
        self.characters = sorted(language().char)

    def one(self, r: random.Random, kind: str) -> str:
        return r.choice(self.lists[kind])

    def draw(self, r: random.Random, kind: str, old: str) -> str:
        """A value of the kind; `old` lends its shape to numbers."""
        maker = getattr(self, kind, None)
        return maker(r) if maker else shaped(r, old)

    def given(self, r: random.Random) -> str:
        roll = r.random()
        if roll < 0.12:
            return r.choice(self.words)
        if roll < 0.22:
            return r.choice(self.given_characters) * 2
        if roll < 0.3:
            return "".join(r.choices(self.characters, k=2))
        if roll < 0.42:
            return "".join(r.choices(self.given_characters, k=2))
        size = 1 if r.random() < 0.12 else 2
        return "".join(r.choices(self.given_characters, self.given_odds, k=size))

    def surname(self, r: random.Random) -> str:
        roll = r.random()
        if roll < 0.5:
            return r.choice(self.common)
        return r.choice(self.rare if roll < 0.9 else COMPOUND_SURNAMES)

    def full(self, r: random.Random) -> str:
        roll = r.random()
        if roll < 0.1:
            return r.choice(self.words_of_a_family)
        if roll < 0.18:
            return r.choice(self.people)
        if roll < 0.31:
            return self.minority(r)
        if roll < 0.325:
            return "".join(r.choices(self.characters, k=r.choice([2, 2, 3])))
        family = self.surname(r)
        if roll < 0.42:
            return family + r.choice(self.words)
        size = 1 if r.random() < 0.28 else 2
        if roll < 0.52:
            return family + "".join(r.choices(self.given_characters, k=size))
        if roll < 0.56:
            return family + "".join(r.choices(self.characters, k=size))
        if roll < 0.6:
            return family + r.choice(self.given_characters) * 2
        return family + "".join(r.choices(self.given_characters, self.given_odds, k=size))

    child = kin = staff = other = full

    def minority(self, r: random.Random) -> str:
        roll = r.random()
        if roll < 0.3:
            parts = ["".join(r.choices(self.lists["uyghur"], k=r.randrange(2, 6))) for _ in range(2)]
            return "·".join(parts) if r.random() < 0.6 else parts[0]
        if roll < 0.55:
            return "".join(r.choices(self.lists["tibetan"], k=r.choice([1, 2, 2, 2])))
        if roll < 0.7:
            return "".join(r.choices(self.lists["mongol"], k=r.choice([1, 1, 2])))
        if roll < 0.85:
            return "".join(r.choices(self.lists["yi"], k=2)) + (
                r.choice("莫嫫惹") if r.random() < 0.3 else ""
            )
        if roll < 0.93:
            return "".join(r.choices(self.lists["other_people"], k=2))
        return "".join(r.choices(self.lists["japanese"], k=2))

    def nick(self, r: random.Random) -> str:
        roll = r.random()
        if roll < 0.45:
            return self.one(r, "nick")
        if roll < 0.6:
            return r.choice(self.given_characters) * 2
        if roll < 0.8:
            one = r.choice(self.given_characters)
            return r.choice(
                ["小{}", "阿{}", "{}宝", "{}仔", "大{}", "{}儿", "老{}", "{}妞", "{}娃", "小{}{}"]
            ).format(one, r.choice(self.given_characters))
        return ("小" if r.random() < 0.2 else "") + r.choice(self.words)

    def latin(self, r: random.Random) -> str:
        if r.random() < 0.4:
            first, last = self.one(r, "latin_first"), self.one(r, "latin_last")
        else:
            first, last = self.one(r, "pinyin_given"), self.one(r, "pinyin_last")
        forms = ["{0} {1}", "{1} {0}", "{1}, {0}", "{0}", "{2} {0}", "{2} {3}", "{1}{0}"]
        return r.choice(forms).format(first, last, last.upper(), first.upper())

    def place(self, r: random.Random) -> str:
        roll = r.random()
        if roll < 0.45:
            return r.choice(self.places)
        head = r.choice(self.places) if roll < 0.6 else ""
        return head + self.locality(r)

    def locality(self, r: random.Random) -> str:
        body = "".join(r.choices(self.lists["place_head"], k=r.choice([1, 2, 2])))
        if r.random() < 0.3:
            body = "".join(r.choices(self.given_characters, k=r.choice([1, 2, 2])))
        if r.random() < 0.15:
            body = r.choice(self.lists["tibetan"] + self.lists["mongol"])
        first = body + self.one(r, "place_end")
        if r.random() < 0.25:
            first += "".join(r.choices(self.lists["place_head"], k=2)) + self.one(r, "place_end")
        return first

    def address(self, r: random.Random) -> str:
        head = r.choice(["", "", r.choice(self.places), self.locality(r)])
        road = self.one(r, "road") if r.random() < 0.7 else "".join(r.choices(self.given_characters, k=2))
        road += self.one(r, "road_end") + r.choice(
            ["{}号", "{}号院", "{}弄{}号", "{}-{}", "{}号附{}号", "", ""]
        )
        home = "".join(r.choices(self.given_characters, k=2)) if r.random() < 0.5 else self.one(r, "road")
        home += self.one(r, "estate")
        home = r.choice(["", home, home]) + r.choice([*self.lists["house_form"], ""])
        village = self.locality(r) + r.choice(["{}组", "{}号", "{}组{}号", "村委会{}组", ""])
        whole = head + (village if r.random() < 0.3 else road + home)
        return "".join(
            str(r.choice([r.randrange(1, 30), r.randrange(100, 2500)])) if p == "{}" else p
            for p in _parts(whole)
        ) or self.locality(r)

    def hospital(self, r: random.Random) -> str:
        roll = r.random()
        if roll < 0.2:
            return self.one(r, "hospital_short")
        if roll < 0.3:
            short = self.one(r, "hospital_form")
            return short.format(r.choice(self.places)[: r.choice([1, 2])])
        head = r.choice(self.places) if r.random() < 0.6 else self.locality(r)
        if r.random() < 0.15:
            head = "".join(r.choices(self.given_characters, k=2))
        return (
            head
            + self.one(r, "hospital_end")
            + r.choice(["", "", "", "", "东院区", "西院", "新院区", "儿童院区"])
        )

    def school(self, r: random.Random) -> str:
        head = r.choice(["", "", r.choice(self.places), self.locality(r)])
        middle = self.one(r, "school_head") if r.random() < 0.6 else r.choice(self.words)
        if r.random() < 0.15:
            middle = self.one(r, "road") + r.choice("路街")
        return head + middle + self.one(r, "school_end")

    def school_class(self, r: random.Random) -> str:
        n, m = r.randrange(1, 10), r.randrange(1, 16)
        year = r.choice(
            [_NUMERALS[n], str(n), "大", "中", "小", "托", "初一", "初二", "初三", "高一", "高二", "高三"]
        )
        room = r.choice(
            [str(m), _NUMERALS[n], f"({m})", f"（{m}）", f"({_NUMERALS[n]})", self.one(r, "class_word")]
        )
        word = self.one(r, "class_word") if r.random() < 0.6 else r.choice(self.words)
        return self.one(r, "class_form").format(year, room, word, r.randrange(2015, 2026))

    def company(self, r: random.Random) -> str:
        if r.random() < 0.3:
            return self.one(r, "company_short")
        head = r.choice(["", r.choice(self.places), self.locality(r)])
        middle = r.choice(
            [
                "".join(r.choices(self.given_characters, k=2)),
                r.choice(self.words),
                self.one(r, "company_short"),
                r.choice(["老", "小", ""]) + r.choice(self.common) + r.choice(["家", "记", "氏", "嫂", "哥"]),
            ]
        )
        return head + middle + self.one(r, "company_end")

    def bed(self, r: random.Random) -> str:
        n = r.choice(
            [
                str(r.randrange(1, 60)),
                f"{r.randrange(1, 60):02d}",
                f"{r.randrange(1, 40)}-{r.randrange(1, 5)}",
            ]
        )
        ward = self.one(r, "ward")
        return self.one(r, "bed_form").format(n, ward)

    def date(self, r: random.Random) -> str:
        y, m, d = r.randrange(2008, 2026), r.randrange(1, 13), r.randrange(1, 29)
        month = _NUMERALS[m - 1] if m < 11 else "十" + _NUMERALS[m - 11]
        day = (
            _NUMERALS[d - 1]
            if d < 11
            else (["", "十", "二十"][d // 10] + (_NUMERALS[d % 10 - 1] if d % 10 else ""))
        )
        form = self.one(r, "date_form").replace("_", " ")
        return form.format(y, m, d, y % 100, month, day)

    def number(self, r: random.Random) -> str:
        pieces = []
        for _ in range(r.choice([1, 1, 2, 2, 3])):
            letters = "".join(r.choices(string.ascii_uppercase, k=r.choice([0, 0, 1, 2, 3])))
            pieces.append(letters + "".join(r.choices(string.digits, k=r.choice([3, 4, 4, 5, 6, 7, 8, 10]))))
        return r.choice(["-", "-", "", "/", "_", " "]).join(pieces)

    def term(self, r: random.Random) -> str:
        """An eponym or a drug that nobody has heard of."""
        if r.random() < 0.5:
            first = (
                r.choice(self.people) if r.random() < 0.6 else "".join(r.choices(self.lists["uyghur"], k=3))
            )
            second = "-" + r.choice(self.people) if r.random() < 0.25 else ""
            return first + second + self.one(r, "term_end")
        head = "".join(r.choices(self.lists["drug_head"], k=r.choice([1, 2, 2, 3])))
        return head + self.one(r, "drug_end")

    def measurement(self, r: random.Random) -> str:
        """Numbers that look like days, beds and codes and are none; at times behind a word."""
        said = re.sub(r"\{(\w)\}", lambda field: _MEASURED[field[1]](r), self.one(r, "measured"))
        return (r.choice(self.words) if r.random() < 0.15 else "") + said

    def left_alone(self, r: random.Random) -> str:
        """Terms, literature, tables, talk: what looks like a name or a number and is none."""
        roll, some = r.random(), r.randrange
        if roll < 0.4:
            return "".join(self.term(r) if p == "{}" else p for p in _parts(self.one(r, "term_frame")))
        if roll < 0.5:
            pages = f"{some(1, 2000)}-{some(1, 2000)}"
            issue = f"杂志，{some(1975, 2025)}，{some(1, 140)}（{some(1, 24)}）："
            return issue + pages + r.choice([".", ".2.", ".13."])
        if roll < 0.8:
            gap = r.choice(["，", "、", "；", " ", "  ", ",", "\n", "/", ""])
            return gap.join(self.measurement(r) for _ in range(r.randrange(1, 8)))
        return (
            r.choice(["医生：", "患者：", "家长：", "问：", "答："])
            + self.one(r, "said")
            + r.choice(["\n", "，", ""])
        )


_MEASURED = {
    "a": lambda r: str(r.randrange(1, 13)),
    "b": lambda r: str(r.randrange(1, 32)),
    "h": lambda r: f"{r.randrange(60):02d}",
    "y": lambda r: str(r.randrange(1995, 2026)),
    "d": lambda r: f"{r.randrange(1, 300) / 10}",
    "t": lambda r: f"{r.randrange(355, 412) / 10}",
}
"""How the fields of `measured` are drawn: up to 12, up to 31, 00 to 59, years, decimals, temperatures."""


def _parts(form: str) -> list[str]:
    pieces = form.split("{}")
    return [x for n, piece in enumerate(pieces) for x in ([piece, "{}"] if n < len(pieces) - 1 else [piece])]


def shaped(r: random.Random, old: str) -> str:
    """Other digits and letters in the shape of the old."""
    new = []
    for c in old:
        if c.isascii() and c.isdigit():
            c = r.choice("123456789" if c != "0" else "0123456789")
        elif c.isascii() and c.isalpha():
            c = r.choice(string.ascii_uppercase if c.isupper() else string.ascii_lowercase)
        new.append(c)
    return "".join(new)
