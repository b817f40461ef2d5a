"""Checksummed identity cards and mobile phones in every width, spacing and numeral through `deid`'s scrubber.

    python bench/deid_text_numbers.py [--numbers 20000] [--seed 5]

Each is written in half or full width, both, mathematical bold, Chinese numerals of both kinds, or misread
(O for 0, l for 1); in one piece, in groups or digit by digit, with one of 22 signs between, in one of eleven
frames. A sign that also divides lists (comma, slash, plus ...) divides phones 3-4-4. Found: every character
is replaced.
"""

import argparse
import random
from collections import Counter
from datetime import date, timedelta

from deid_text_cases import mobile, resident_id

from p2med.deid.text import Known, scrub
from p2med.errors import PhiError

FRAMES = (
    "身份证{}|证件号码：{}，|患儿父亲{}。|（{}）|电话{}，|打{}联系|手机:{}\n|来电 {} 家长诉咳嗽|{}|"
    "家长{}诉发热3天|tel:{}."
).split("|")
SIGNS = " |  |\u3000|\u00a0|\u2009|-|–|—|－|.|．|·|•|_|\u200b|\u2060|\t".split("|")
SIGNS_OF_LISTS = "/、,，*:~+"
CHINESE, FORMAL = "零一二三四五六七八九", "〇壹贰叁肆伍陆柒捌玖"
WIDTHS = "half full mixed bold chinese formal misread".split()


def spelled(r: random.Random, number: str, width: str) -> str:
    if width == "misread":
        return "".join(
            {"0": "O", "1": "l"}.get(c, c) if n > 1 and r.random() < 0.4 else c for n, c in enumerate(number)
        )
    return "".join(_digit(r, c, width) for c in number)


def _digit(r: random.Random, c: str, width: str) -> str:
    if width == "mixed":
        width = r.choice(("half", "full"))
    if width == "full":
        return chr(ord(c) + 0xFEE0)
    if not c.isdecimal() or width == "half":
        return c
    return {"bold": chr(0x1D7CE + int(c)), "chinese": CHINESE[int(c)], "formal": FORMAL[int(c)]}[width]


def written(r: random.Random, number: str) -> tuple[str, str]:
    """(how, the number as somebody wrote it)"""
    width = r.choice(WIDTHS)
    text = spelled(r, number, width)
    spacing = r.choice(("none", "groups", "digits")) if width != "misread" else "none"
    if spacing == "none":
        return f"{width} none", text
    sign = r.choice([*SIGNS, *SIGNS_OF_LISTS])
    if spacing == "digits":
        return f"{width} digits {sign!r}", sign.join(text)
    cuts = (
        (6, 14)
        if len(number) == 18
        else (3, 7)
        if sign in SIGNS_OF_LISTS
        else r.choice([(3, 7), (4, 8), (3, 6)])
    )
    return f"{width} groups {sign!r}", sign.join((text[: cuts[0]], text[cuts[0] : cuts[1]], text[cuts[1] :]))


def is_found(text: str, value: str) -> bool:
    try:
        done = scrub(text, Known(), -77)
    except PhiError:
        return False
    start = text.index(value)
    covered = {n for r in done.replaced for n in range(r.start, r.end)}
    return covered >= set(range(start, start + len(value)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--numbers", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    r = random.Random(options.seed)
    found: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for n in range(options.numbers):
        kind = ("identity card", "mobile phone")[n % 2]
        number = mobile(r) if n % 2 else resident_id(r, date(1950, 1, 1) + timedelta(r.randrange(26000)))
        how, value = written(r, number)
        good = is_found(r.choice(FRAMES).format(value), value)
        total[kind] += 1
        found[kind] += good
        if not good:
            print("missed", kind, how)
    for kind in total:
        print(f"{kind:<16}{found[kind]:>7}/{total[kind]}")


if __name__ == "__main__":
    main()
