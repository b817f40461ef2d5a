"""DICOM headers of invented patients, in every character set and with every wrong label, with their truth.

The bytes are put together here, not by pydicom, so that a label can lie about them.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石"
    "姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段漕钱汤尹黎易常武乔贺赖龚文庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂"
    "丛焦向柳邢路岳齐沿梅莫庄辛管祝左涂谷祁时舒耿牟卜路詹关苗凌费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包司柏宁柯"
    "阮桂闵解强柴华车冉房边辜吉饶刁瞿戚丘古米池滕晋苑邬臧畅宫来嵺苟全褚廉简娄盖符奚木穆党燕郎邸冀谈姬屠连郜晏栾郁商蒙计喻揭窦迟宇"
)
DOUBLE = ("欧阳", "司马", "上官", "诸葛", "司徒", "尉迟", "夏侯", "皇甫")
GIVEN = "梓涵子轩雨桐浩然诗琪欣怡宇航思睿一诺沐辰可馨俊杰梦洁嘉懿泽楷语嫣晨曦若溪铭哲艺萱博文佳宁小豆满阳"
RARE = "䶮㛃㼆𠮷𬱖𫖯堃喆犇昇祎翀旻珺璟頔鑫曌彧翾"
UYGHUR = ("阿依古丽·买买提", "古丽娜尔·阿不都", "艾尼瓦尔·吐尔逊")
WORDS = (
    "胸部正位",
    "胸部平扫",
    "DR胸片",
    "胸部CT平扫+增强",
    "头颅",
    "胸部（仰卧位）",
    "腹部立位片",
    "肺窗 5mm",
)
HOSPITALS = ("阳光儿童医院", "市第一人民医院", "妇幼保健院", "云岭省立医院放射科", "新区医院")
ADDRESSES = ("云南路8号3栋2单元", "海棠村二组", "滨江区江陵路100弄", "和平镇小学旁")
FOREIGN = {
    "ISO_IR 100": ("latin_1", ("Müller^Jörg", "PEÑA^JOSÉ", "Françoise^Élodie", "ÑÁÑEZ^RAÚL", "Ångström^Åsa")),
    "ISO_IR 101": ("iso8859_2", ("Dvořák^Jiří", "Kovács^Győző", "Łukasz^Wałęsa")),
    "ISO_IR 148": ("iso8859_9", ("Çağlar^Işıl", "Yılmaz^Gökçe", "ŞAHİN^ÖZGÜR")),
    "ISO_IR 144": ("iso8859_5", ("Иванов^Иван", "Петрова^Анна")),
    "ISO_IR 192": ("utf-8", ("Иванов^Иван", "Müller^Jörg", "김^민수", "やまだ^たろう", "Γιάννης^Παππάς")),
}  # fmt: skip
JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"  # PS3.5 H.3.1, 山田^太郎
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"  # PS3.5 I.2, 洪^吉洞

PATIENT_NAME, PATIENT_ID, STUDY_TEXT = (0x0010, 0x0010), (0x0010, 0x0020), (0x0008, 0x1030)
HOSPITAL, DOCTOR, ADDRESS = (0x0008, 0x0080), (0x0008, 0x0090), (0x0010, 0x1040)
VRS = {
    PATIENT_NAME: "PN", PATIENT_ID: "LO", STUDY_TEXT: "LO", HOSPITAL: "LO", DOCTOR: "PN", ADDRESS: "LO",
}  # fmt: skip


@dataclass(frozen=True)
class Child:
    name: str
    """A DICOM name, Latin=ideographic or ideographic alone."""
    number: str
    texts: dict[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """One header: its bytes, and what it says in truth."""

    kind: str
    """`right/...` when the label is true, `wrong/...` otherwise."""
    content: bytes
    truth: dict[tuple[int, int], str]


def child(rng: random.Random, number: int) -> Child:
    surname = rng.choice(DOUBLE) if rng.random() < 0.03 else rng.choice(SURNAMES)
    given = "".join(_given(rng) for _ in range(1 if rng.random() < 0.25 else 2))
    name = rng.choice(UYGHUR) if rng.random() < 0.02 else f"{surname}^{given}"
    if rng.random() < 0.5:
        name = f"Wang^Xiao{rng.choice('abcdehlmy')}={name}"
    texts = {STUDY_TEXT: rng.choice(WORDS), HOSPITAL: rng.choice(HOSPITALS), ADDRESS: rng.choice(ADDRESSES)}
    texts[DOCTOR] = rng.choice(SURNAMES) + "^" + rng.choice(("医生", "大夫", _given(rng)))
    # The hardest header has nothing but the name; most have more.
    texts = {tag: text for tag, text in texts.items() if rng.random() < 0.4}
    prefix = rng.choice(("", "", "", "P", "门诊", "住院号"))
    return Child(name, f"{prefix}{number:07d}", texts)


def _given(rng: random.Random) -> str:
    """Mostly usual characters, one in seven any of GB 2312 level 1, a few of level 2, and rare ones."""
    draw = rng.random()
    if draw < 0.82:
        return rng.choice(GIVEN)
    if draw < 0.99:
        lead = rng.randint(0xB0, 0xD6) if draw < 0.95 else rng.randint(0xD8, 0xF7)
        return bytes([lead, rng.randint(0xA1, 0xFE)]).decode("gb2312")
    return rng.choice(RARE)


# ---------------------------------------------------------------- bytes


def escaped(text: str, ascii_back: bool) -> bytes:
    """ISO 2022 IR 58: each stretch of hanzi after ESC $ ) A; `ascii_back` also switches back by ESC ( B."""
    out, inside = b"", False
    for c in text:
        if c.isascii():
            out += (b"\x1b(B" if inside and ascii_back else b"") + c.encode()
            inside = False if ascii_back or c in "^=\\" else inside
        else:
            out += (b"" if inside else b"\x1b$)A") + c.encode("gb2312")
            inside = True
    return out


def header(declared: str | None, elements: dict[tuple[int, int], bytes], nested: bool = False) -> bytes:
    """A small CR header, Explicit VR Little Endian, with these bytes in its text elements."""
    image = {
        (0x0008, 0x0016): ("UI", b"1.2.840.10008.5.1.4.1.1.1"),
        (0x0008, 0x0018): ("UI", b"1.2.3.1"),
        (0x0008, 0x0060): ("CS", b"CR"),
        (0x0020, 0x000D): ("UI", b"1.2.3.2"),
        (0x0020, 0x000E): ("UI", b"1.2.3.3"),
        (0x0028, 0x0010): ("US", struct.pack("<H", 4)),
        (0x0028, 0x0011): ("US", struct.pack("<H", 4)),
    }
    image |= {tag: (VRS[tag], value) for tag, value in elements.items()}
    if declared is not None:
        image[0x0008, 0x0005] = ("CS", declared.encode())
    if nested and PATIENT_NAME in elements:
        inner = _element((0x0010, 0x0010), "PN", elements[PATIENT_NAME])
        item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner)) + inner
        image[0x0008, 0x1110] = ("SQ", item)
    body = b"".join(_element(tag, vr, value) for tag, (vr, value) in sorted(image.items()))
    syntax = _element((0x0002, 0x0010), "UI", b"1.2.840.10008.1.2.1")
    meta = _element((0x0002, 0x0000), "UL", struct.pack("<I", len(syntax))) + syntax
    return b"\0" * 128 + b"DICM" + meta + body


def _element(tag: tuple[int, int], vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    head = struct.pack("<HH", *tag) + vr.encode()
    return head + (struct.pack("<HI", 0, len(value)) if vr == "SQ" else struct.pack("<H", len(value))) + value


# ---------------------------------------------------------------- labels

RIGHT = {
    "GB18030": ("gb18030", "GB18030"),
    "GBK": ("gbk", "GBK"),
    "UTF-8": ("utf-8", "ISO_IR 192"),
    "IR 58": ("ir58", "\\ISO 2022 IR 58"),
    "IR 58, back to ASCII": ("ir58_back", "\\ISO 2022 IR 58"),
    "GB2312": ("gb2312", "GB18030"),
}
WRONG = {
    "GBK as Latin-1": ("gb18030", "ISO_IR 100"),
    "UTF-8 as Latin-1": ("utf-8", "ISO_IR 100"),
    "no label, GBK": ("gb18030", None),
    "no label, UTF-8": ("utf-8", None),
    "no label, IR 58": ("ir58", None),
    "GB18030 as second value": ("gb18030", "\\GB18030"),
    "GB18030 after Latin-1": ("gb18030", "ISO_IR 100\\GB18030"),
    "UTF-8 as second value": ("utf-8", "\\ISO_IR 192"),
    "UTF-8 as GB18030": ("utf-8", "GB18030"),
    "GBK as UTF-8": ("gb18030", "ISO_IR 192"),
    "GBK as IR 58, no escapes": ("gb2312", "\\ISO 2022 IR 58"),
    "GBK as unknown term": ("gb18030", "CHINESE"),
    "GBK as Latin-1 as UTF-8": ("twice", "ISO_IR 192"),
}


def _encoded(text: str, how: str) -> bytes | None:
    """None when the character set lacks a character."""
    try:
        if how.startswith("ir58"):
            return escaped(text, how == "ir58_back")
        if how == "twice":
            return text.encode("gb18030").decode("latin_1").encode()
        return text.encode(how)
    except UnicodeEncodeError:
        return None


def headers_of(one: Child, rng: random.Random) -> Iterator[Made]:
    """The same child under every label, right and wrong."""
    truth = {PATIENT_NAME: one.name, PATIENT_ID: one.number, **one.texts}
    labels = {f"right/{k}": v for k, v in RIGHT.items()} | {f"wrong/{k}": v for k, v in WRONG.items()}
    for kind, (how, declared) in labels.items():
        values = {tag: _encoded(text, how) for tag, text in truth.items()}
        if None not in values.values():
            content = header(declared, {t: v for t, v in values.items() if v}, nested=rng.random() < 0.2)
            yield Made(kind, content, truth)


def foreign_headers() -> Iterator[Made]:
    """Names in other scripts under their right labels."""
    for declared, (codec, names) in FOREIGN.items():
        for name in names:
            truth = {PATIENT_NAME: name, PATIENT_ID: "P0001"}
            elements = {tag: text.encode(codec) for tag, text in truth.items()}
            yield Made(f"right/foreign {declared}", header(declared, elements), truth)
    for declared, name, said in (
        ("\\ISO 2022 IR 87", JAPANESE, "Yamada^Tarou=山田^太郎"),
        ("\\ISO 2022 IR 149", KOREAN, "Hong^Gildong=洪^吉洞"),
    ):
        elements = {PATIENT_NAME: name, PATIENT_ID: b"P0001"}
        yield Made(f"right/foreign {declared}", header(declared, elements), {PATIENT_NAME: said})
