"""Train p2med/deid/name_weights.csv, by which deid judges whether characters are a name.

    P2MED_DATA=../shared/data python bench/deid_text_names.py DICT_TXT [--templates SET ...] [--out FILE]

Examples are candidates of deid's name rules (names.candidates) in several kinds of text: the templates with
drawn values; medical questions (cn_medical_qa, cmb_clin_cases: Apache-2.0) in which words for people become,
or are followed by, drawn names; the resumes of deid_ner_resume (MIT); and deid_text_plain.txt. DICT_TXT is
that of jieba (MIT): its words stand before names as roles that nobody listed. Corpora without a licence take
no part. A logistic regression on the features of name_score.py; its weights are rounded to 1/32.
"""

import argparse
import csv
import gzip
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from deid_text import read_templates
from deid_text_cases import HERE, Case, Lists, fill
from deid_text_language import CORPORA, _strings

from p2med.deid.folding import fold
from p2med.deid.language import language
from p2med.deid.name_score import SCALE, Left, features
from p2med.deid.names import candidates, find_cues, name_starts
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

OUT = Path(__file__).parents[1] / "p2med" / "deid" / "name_weights.csv"
# By how common they are today.
FREQUENT = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付"
    "方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
PERSON = re.compile(
    "患者|患儿|孩子|宝宝|他(?![们人汀])|她(?!们)|女儿|儿子|小孩|妈妈|爸爸|医生|老公|病人|母亲|父亲|老师|家长|"
    "护士|大夫|我(?![们国院的是])"
)
TITLES = ("医生", "老师", "护士", "大夫")
# Clauses of notes in which people are named; {d} a department, {v} what they do, {k} a relative.
CLAUSES = (
    "{n}{v}。|{n}{v}，{n}{v}。|，{n}{v}，|{d}{n}{v}，|{d}{n}，|{d}{n}、{d}{n}、{d}{n}。|（{n}）|"
    "{n}（{k}）、{n}（{k}）、{n}|{n}、{n}、{n}|{n}/{n} |12床{n}、15床{n}，|3床 {n} 男|——{n}|{n}回复：“|"
    "遵{n}医嘱|由{n}{v}，|请{n}{v}，|与{n}{v}。|{d}{n}说|找{n}签字|挂{n}的号|{k}{n}{v}|{k}{n}，|{k}{n}|"
    "其{k}{n}在|{k}叫{n}，|名叫{n}|{n}和{n}|同{n}一起{v}|{n}一家|{n}的{k}|{n}他{k}|{w}{n}，|{w}{n}。|"
    "{w}{n}（|{w}：{n} |{w} {n} {w} {n}|{w}:{n}，{w}:{n}|{n} 08:15|{n}{v}后|{n}已{v}|{n}未{v}|{n}又{v}|"
    "{n}不{v}|{n}去{v}|{n}来{v}|{n}昨天|{n}今晨|{n}夜间|{n}，男，|{n}，女，3岁|{n}主任{v}|{n}老师{v}|"
    "{d}{n}科长{v}|{d}{n}主任|{n}副主任医师、{n}主治医师|{n}护士{v}|{n}医生{v}|{k}{n}之|{n}之{k}|"
    "患儿{n}{v}|患儿{n}未|患儿{n}有|{k}{n}有|{k}{n}去世|{k}{n}跑货车"
).split("|")
DEPARTMENTS = (
    "医务科 护理部 检验科 血库 药剂科 微生物室 超声科 总务 保卫科 介入科 放射科 病理科 儿科 产科 "
    "新生儿科 急诊 门诊 信息科 医保办 财务科 设备科 "
    "感染科 心内科 神经内科 肾内科 血液科 消化科 呼吸科 骨科 眼科 耳鼻喉科 口腔科 皮肤科 康复科 中医科 "
    "营养科 麻醉科 手术室 供应室 挂号处 收费处 "
    "住院处 病案室 随访中心 筛查中心 化验室 雾化室 肺功能室 镜检室 疾控 社区 居委会 村委会 派出所 学校 "
    "教务处 保健室 食堂"
).split()
VERBS = (
    "操作 协助 配合 陪同 记录 查看 到场 处理 通知 联系 报告 审核 签字 签名 介绍 汇报 提出 指出 建议 "
    "同意 拒绝 要求 认为 考虑 表示 反映 来电 接听 转告 "
    "接诊 值班 交班 接班 查房 会诊 主刀 麻醉 插管 抢救 按压 穿刺 换药 抽血 采血 输液 发药 核对 测量 "
    "喂奶 拔管 上机 护送 接送 探视 送饭 挂号 缴费 "
    "咳嗽 发热 呕吐 腹泻 喘息 哭闹 入睡 醒来 进食 精神可 好转 出院 入院 转院 复诊 复查 上学 请假 摔倒 "
    "受伤 住院 打针 吃药 拍片 做雾化 流鼻涕 "
    "说 讲 问 答 带来 送来 接回 抱着 照顾 喂养 陪护 打工 上班 开车 务农 去世 离异 失联 生下 知晓 掌握 "
    "学会 听诊 阅片 判读 讨论 总结 主持 参加 发言"
).split()
RELATIVES = (
    "父 母 父亲 母亲 爸爸 妈妈 爷爷 奶奶 外公 外婆 姥姥 姥爷 哥哥 姐姐 弟弟 妹妹 姑姑 姑父 舅舅 舅妈 "
    "姨妈 小姨 叔叔 伯父 大伯 表哥 表姐 堂妹 堂弟 "
    "继父 养母 邻居 同学 同桌 室友 老师 校医 司机 保安 保姆 律师 翻译 村医 民警 队长 组长 负责人 联系人"
).split()
MOST_CLAUSES = 9000
MOST_TEXTS = 400
FILLS = 8
EPOCHS = 10
DROPPED = 0.5
LEAST = 3
"""A feature that is met less often says nothing."""

Example = tuple[list[str], bool]


class Drawn(Lists):
    """Values of the bench, but family and given names drawn anew from those of the country."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lists["common_surname"] = [c for n, c in enumerate(FREQUENT) for _ in range(1 + 200 // (n + 4))]
        self._lists["rare_surname"] = sorted(SURNAMES)
        self._lists["compound_surname"] = sorted(COMPOUND_SURNAMES)
        known = language().given
        self._chars = list(known)
        self._odds = [2.718281828**v for v in known.values()]

    def given(self, r: random.Random, age: str) -> str:
        size = 1 if r.random() < 0.25 else 2
        if r.random() < 0.15:
            return "".join(r.choices(self._chars, k=size))
        return "".join(r.choices(self._chars, self._odds, k=size))


def name(r: random.Random, lists: Lists) -> str:
    roll = r.random()
    kind = "compound" if roll < 0.04 else "rare" if roll < 0.2 else "common"
    return r.choice(lists[kind + "_surname"]) + lists.given(r, "adult")


def with_names(
    r: random.Random, text: str, lists: Lists, words: list[str]
) -> tuple[str, set[tuple[int, int]]]:
    """The text with some of its people named, and a few names put between its sentences."""
    pieces: list[str] = []
    spans: set[tuple[int, int]] = set()
    length = at = 0

    def put(piece: str, is_name: bool = False) -> None:
        nonlocal length
        if is_name:
            spans.add((length, length + len(piece)))
        pieces.append(piece)
        length += len(piece)

    for found in re.finditer(rf"{PERSON.pattern}|[。；\n，]", text):
        put(text[at : found.start()])
        at = found.end()
        roll = r.random()
        if found[0] in "。；\n，":
            put(found[0])
            if roll < 0.03:
                put(r.choice(words) if r.random() < 0.8 else "")
                put(r.choice(["", "", "：", " ", ":", "（"]))
                put(name(r, lists), True)
                if r.random() < 0.2:
                    put(r.choice(["、", "和", "/", " "]))
                    put(name(r, lists), True)
                put(r.choice(["，", "。", "\n", "）", " ", "；", ""]))
            continue
        if roll < 0.35:
            if found[0] in TITLES and r.random() < 0.5:
                put(name(r, lists), True)
                put(found[0])
            else:
                put(name(r, lists), True)
        elif roll < 0.55:
            put(found[0])
            put(r.choice(["", "", "", "：", " ", "（"]))
            put(name(r, lists), True)
        else:
            put(found[0])
    put(text[at:])
    return "".join(pieces), spans


def examples(text: str, names: set[tuple[int, int]]) -> Iterator[Example]:
    """Every candidate of the text: its features, and whether it is one of the names."""
    folded = fold(text)
    cues, inside = find_cues(folded)
    begun = {start: stop for start, stop in names}
    for start in sorted(name_starts(folded, cues, inside) | (begun.keys() - inside)):
        cue = cues.get(start)
        left = Left(folded, start, cue)
        for given_at, stop in candidates(folded, start, cue):
            if found := features(folded, start, given_at, stop, left):
                yield found, begun.get(start) == stop


def of_templates(r: random.Random, paths: list[Path], lists: Lists) -> Iterator[Example]:
    for template in read_templates(paths):
        for _ in range(FILLS):
            text, spans = fill(template, Case(random.Random(r.random()), lists))
            yield from examples(text, {(s, e) for s, e, k in spans if k in ("known name", "other name")})


def of_questions(r: random.Random, data: Path, lists: Lists, words: list[str]) -> Iterator[Example]:
    for corpus in CORPORA:
        with gzip.open(data / corpus, "rt", encoding="utf-8") as file:
            for line in file:
                text = "\n".join(_strings(json.loads(line)))[:MOST_TEXTS]
                yield from examples(
                    *(with_names(r, text, lists, words) if r.random() < 0.6 else (text, set()))
                )


def of_resumes(data: Path) -> Iterator[Example]:
    with gzip.open(data / "deid_ner_resume" / "train.char.bmes.gz", "rt", encoding="utf-8") as file:
        for sentence in file.read().split("\n\n"):
            rows = [x.split(" ") for x in sentence.splitlines() if " " in x]
            text, names, begun = "".join(c for c, _ in rows), set(), 0
            for n, (_, tag) in enumerate(rows):
                if tag == "B-NAME":
                    begun = n
                if tag == "E-NAME":
                    names.add((begun, n + 1))
            yield from examples(text, names)


def of_clauses(r: random.Random, lists: Lists, words: list[str]) -> Iterator[Example]:
    """Two to four clauses of CLAUSES beside each other."""
    lines = (HERE / "deid_text_plain.txt").read_text(encoding="utf-8").splitlines()[1:]
    plain = [x for line in lines for x in re.split("[，。 ]", line) if x]
    drawn = {"d": DEPARTMENTS, "v": VERBS, "k": RELATIVES, "w": words}
    for _ in range(MOST_CLAUSES):
        text, spans = "", set()
        for _ in range(r.randrange(2, 5)):
            for piece in re.split("({[a-z]})", r.choice([*r.choices(CLAUSES, k=3), r.choice(plain) + "，"])):
                value = piece
                if piece == "{n}":
                    value = name(r, lists)
                    spans.add((len(text), len(text) + len(value)))
                elif piece.startswith("{"):
                    value = r.choice(drawn[piece[1]])
                text += value
            text += r.choice(["", "", "，", "。", " ", "；"])
        yield from examples(text, spans)


def of_plain() -> Iterator[Example]:
    """Clinical phrases in which nobody is named; whole, and one by one."""
    for line in (HERE / "deid_text_plain.txt").read_text(encoding="utf-8").splitlines()[1:]:
        for text in (line, *re.split("[，。 ]", line)):
            yield from examples(text, set())


def train(found: list[Example]) -> dict[str, int]:
    """Integer weights of a logistic regression, by Adam over shuffled batches."""
    counts = Counter(f for fs, _ in found for f in fs)
    index = {f: n for n, f in enumerate(sorted(f for f, n in counts.items() if n >= LEAST))}
    torch.manual_seed(1)
    torch.set_num_threads(1)
    bag = torch.nn.EmbeddingBag(len(index), 1, mode="sum")
    torch.nn.init.zeros_(bag.weight)
    learner = torch.optim.Adam(bag.parameters(), lr=0.02)
    rows = [[index[f] for f in fs if f in index] for fs, _ in found]
    words = torch.tensor([f[0] in "lmqcaAsg" for f in index])
    wanted = torch.tensor([float(y) for _, y in found])
    for epoch in range(EPOCHS):
        order = torch.randperm(len(rows)).tolist()
        for group in learner.param_groups:
            group["lr"] = 0.02 * 0.7**epoch
        total = 0.0
        for at in range(0, len(order), 512):
            batch = order[at : at + 512]
            offsets = torch.tensor([0, *(len(rows[n]) for n in batch[:-1])]).cumsum(0)
            flat = torch.tensor([f for n in batch for f in rows[n]])
            # A feature of one word is left out at times, so that the others learn to do without it.
            kept = 1.0 - (words[flat] & (torch.rand(len(flat)) < DROPPED)).float()
            odds = bag(flat, offsets, per_sample_weights=kept).squeeze(1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, wanted[batch])
            learner.zero_grad()
            (loss + 1e-6 * bag.weight.abs().sum()).backward()
            learner.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch}: {total / len(order):.4f}", flush=True)
    learned = {f: round(bag.weight[n].item() * SCALE) for f, n in index.items()}
    return {f: w for f, w in learned.items() if abs(w) > 2}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dictionary", type=Path)
    parser.add_argument(
        "--templates",
        nargs="*",
        default=["", "_2", "_3", "_4", "_5", "_5_2", "_5_3", "_6"],
        help="of deid_text_templates*.txt",
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    r = random.Random(7)
    data = Path(os.environ.get("P2MED_DATA", "../shared/data"))
    lists = Drawn(HERE / "deid_text_values_2.csv")
    rows = [x.split(" ") for x in options.dictionary.read_text(encoding="utf-8").splitlines()]
    words = [w for w, n, tag in rows if tag == "n" and len(w) in (2, 3) and int(n) > 20]
    paths = [HERE / f"deid_text_templates{n}.txt" for n in options.templates]
    found = [
        *of_templates(r, paths, lists),
        *of_questions(r, data, lists, words),
        *of_resumes(data),
        *of_clauses(r, lists, words),
        *(example for _ in range(4) for example in of_plain()),
    ]
    print(f"{len(found)} candidates, {sum(y for _, y in found)} names", flush=True)
    learned = train(found)
    with open(options.out, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(sorted(learned.items()))
    print(f"{len(learned)} weights")


if __name__ == "__main__":
    main()
