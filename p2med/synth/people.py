"""Invented children: identity, guardians, doctors. Nothing here is taken from a real person.

Person(patient_id="00012345", name="张梓涵", pinyin="ZHANG ZIHAN", sex="F", birth_date=2019-03-04, …)
"""

from datetime import date, timedelta

import numpy as np

from p2med.schema.base import Frozen

SURNAMES = dict(
    zip(
        "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕",
        (
            "WANG LI ZHANG LIU CHEN YANG ZHAO HUANG ZHOU WU XU SUN HU ZHU GAO LIN HE GUO MA LUO LIANG SONG "
            "ZHENG XIE HAN TANG FENG YU DONG XIAO CHENG CAO YUAN DENG XU FU SHEN ZENG PENG LV"
        ).split(),
        strict=True,
    )
)
GIVEN = dict(
    zip(
        "梓涵子轩雨欣浩宇诗语佳怡思远嘉琪一诺俊杰可馨博文若曦明哲静姝晨阳依婷天佑心怡睿渊紫萱",
        (
            "ZI HAN ZI XUAN YU XIN HAO YU SHI YU JIA YI SI YUAN JIA QI YI NUO JUN JIE KE XIN BO WEN RUO XI "
            "MING ZHE JING SHU CHEN YANG YI TING TIAN YOU XIN YI RUI YUAN ZI XUAN"
        ).split(),
        strict=True,
    )
)
ADULT_GIVEN = ("建国", "秀英", "海燕", "志强", "丽华", "国栋", "春梅", "立新", "玉兰", "文斌", "晓东", "雪梅")
DISTRICTS = ("310104", "320106", "330102", "340103", "350203", "420106")
STREETS = ("春申路", "长宁支路", "梧桐街", "望江大道", "青石巷", "龙泉路", "文昌街", "滨河西路")
SCHOOLS = ("阳光幼儿园", "星星幼儿园", "实验小学", "育才小学", "蓝天幼儿园", "第二小学")
HOSPITAL = "江宁市儿童医院"
OTHER_HOSPITALS = ("清河县人民医院", "东湖区妇幼保健院", "临山县中医院")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


class Person(Frozen):
    patient_id: str
    name: str
    pinyin: str
    sex: str
    birth_date: date
    id_number: str
    guardian: str
    phone: str
    address: str
    school: str
    doctor: str
    senior: str
    chief: str


def identity_number(region: str, birth_date: date, order: int) -> str:
    """An 18-digit number with its check digit (GB 11643-1999, ISO 7064 MOD 11-2)."""
    body = f"{region}{birth_date:%Y%m%d}{order % 1000:03d}"
    return body + _CHECK[sum(int(c) * w for c, w in zip(body, _WEIGHTS, strict=True)) % 11]


def make_person(rng: np.random.Generator, index: int, first_visit: date) -> Person:
    """Ages follow pneumonia: many infants and toddlers, few over ten."""
    age_days = int(min(14 * 365, max(3, rng.gamma(1.6, 900))))
    birth_date = first_visit - timedelta(days=age_days)
    surname = str(rng.choice(list(SURNAMES)))
    given = [str(c) for c in rng.choice(list(GIVEN), size=2, replace=False)]
    sex = "M" if rng.random() < 0.58 else "F"
    order = int(rng.integers(0, 500)) * 2 + (sex == "M")
    return Person(
        patient_id=f"{10_000_000 + index * 37 + 11:08d}",
        name=surname + "".join(given),
        pinyin=f"{SURNAMES[surname]} {GIVEN[given[0]]}{GIVEN[given[1]]}",
        sex=sex,
        birth_date=birth_date,
        id_number=identity_number(str(rng.choice(DISTRICTS)), birth_date, order),
        guardian=_adult(rng, surname),
        phone=f"1{rng.choice([38, 39, 58, 86, 77])}{rng.integers(0, 10**8):08d}",
        address=f"江宁市{rng.choice(['新安', '北亭', '河东'])}区{rng.choice(STREETS)}"
        f"{rng.integers(1, 999)}号{rng.integers(1, 30)}室",
        school=str(rng.choice(SCHOOLS)),
        doctor=_adult(rng),
        senior=_adult(rng),
        chief=_adult(rng),
    )


def _adult(rng: np.random.Generator, surname: str | None = None) -> str:
    return (surname or str(rng.choice(list(SURNAMES)))) + str(rng.choice(ADULT_GIVEN))
