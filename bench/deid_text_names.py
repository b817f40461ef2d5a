"""Train p2med/deid/name_weights.csv, by which deid judges whether characters are a name.

    P2MED_DATA=../shared/data python bench/deid_text_names.py DICT_TXT [--templates SET ...] [--out FILE]

Examples are candidates of deid's name rules (names.candidates) in four kinds of text: this bench's templates
with drawn values; medical questions (cn_medical_qa, cmb_clin_cases: Apache-2.0) in which words for people become,
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
    "患者|患儿|孩子|宝宝|他(?![们人汀])|她(?!们)|女儿|儿子|小孩|妈妈|爸爸|医生|老公|病人|母亲|父亲|老师|家长|护士|大夫|我(?![们国院的是])"
)
TITLES = ("医生", "老师", "护士", "大夫")
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
        "--templates", nargs="*", default=["", "_2", "_3", "_4", "_5"], help="of deid_text_templates*.txt"
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
        *(example for _ in range(4) for example in of_plain()),
    ]
    print(f"{len(found)} candidates, {sum(y for _, y in found)} names", flush=True)
    learned = train(found)
    with open(options.out, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(sorted(learned.items()))
    print(f"{len(learned)} weights")


if __name__ == "__main__":
    main()
