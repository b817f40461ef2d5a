"""Make p2med/deid/language.csv, by which deid tells a name from words: `高热` is a word, `高玥` a name.

    python bench/deid_text_language.py DICT_TXT     # jieba's dict.txt (MIT); P2MED_DATA as for the recipes

Only sources with a licence that allows it: jieba 0.42.1 (MIT), Huatuo/CMtMedQA and CMB-Clin (Apache-2.0). The
corpora without a licence stay out of this file; bench/deid_text.py measures over-redaction on them.

Rows: kind, first, chars, log probability. `char`: P(char). `pair`: P(char | first). `surname`, `given`:
P(char in a name). `whole`: P(two given characters in a name), the second in `chars`.
"""

import csv
import gzip
import json
import math
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2med.deid.surnames import SURNAMES

CORPORA = (
    "cn_medical_qa/cmtmedqa_multiturn.jsonl.gz",
    "cn_medical_qa/huatuo26m_6000.jsonl.gz",
    "cn_medical_qa/huatuo_knowledge_instruct.jsonl.gz",
    "cmb_clin_cases/cases.jsonl.gz",
)
OUT = Path(__file__).parents[1] / "p2med" / "deid" / "language.csv"
_CHINESE = re.compile("[\u4e00-\u9fff]+")
# jieba's counts come from some 10^8 characters, ours from 2 x 10^6.
_SCALE = 50
_FEWEST = 2
_FEWEST_OF_OTHERS = 4
_FEWEST_GIVEN = 5
# jieba's names are those of its books; these are the characters of today's children and their parents.
_GIVEN_TODAY = (
    "梓涵轩宇浩欣怡诗子轩晨雨佳琪思睿博文昊然铭泽萱语嫣可馨奕辰若曦俊熙沐雅婷芷瑶钰彤昕妍依诺嘉懿一诺予安沐恩宸瑞"
    "霖骏翔煜祺逸凡皓天乐乐圆圆果果豆朵朵米桐桐玥悦月芸菲茜倩楠琳璐瑾瑜璇珊珂玲琴静娜莉丽娟芳霞艳红燕梅兰英秀凤珍桂"
    "香莲云洁敏慧惠颖婧媛婉妮姝娇娅妙伟强磊军勇杰涛超明刚平辉鹏健斌波峰龙飞鑫亮浩华志国建新民庆海江林森松柏荣贵富祥"
    "福德仁义礼智信忠孝廉旭东阳光晓春夏秋冬雪冰梦琦筱笑甜蜜欢喜元启航远帆扬帅威武震雷霆宏伟达康宁泰恒永久长青山川河"
    "溪泉清源润泓洋瀚淼炎焱烨灿炜煊垚坤城培堃岩岚峻嵩崇毅哲彦贤圣儒翰墨章典书画琴棋知行修齐治允执厥中正直刚柔尧舜禹"
    "汤少小大成功胜利凯旋立业创世纪年时代先锋向前进步升华腾达莹晶晖曜星辰朗皎洪涌澜漪湘赣鲁豫晋黔滇璟琛琰琨瑛珺琬瑗"
    "玮珏玺璞璧麟麒鸿鹄雁鹰燕鹤凰鸾栋梁材楷模桦榕柯枫槿樱桃李杏芙蓉菡萏芝芷蕙兰薇蔷蓓蕾莎萌芽苗禾穗谷裕丰盈满"
)
_DISCOUNT = 0.5
_STEP = 0.5
_WEIGHT_OF_TODAY = 200


def main(dictionary: Path) -> None:
    chars: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    surnames: Counter[str] = Counter()
    given: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    data = Path(os.environ.get("P2MED_DATA", "../shared/data"))
    for corpus in CORPORA:
        with gzip.open(data / corpus, "rt", encoding="utf-8") as file:
            for line in file:
                for run in _CHINESE.findall("\n".join(_strings(json.loads(line)))):
                    chars.update(run)
                    pairs.update(a + b for a, b in zip(run, run[1:], strict=False))
    for line in dictionary.read_text(encoding="utf-8").splitlines():
        word, count, tag = line.split(" ")
        if not _CHINESE.fullmatch(word):
            continue
        if tag.startswith("nr"):
            if len(word) == 3 and word[0] in SURNAMES:
                surnames[word[0]] += 1
                given.update(word[1:])
                whole[word[1:]] += 1
        elif len(word) > 1:
            for a, b in zip(word, word[1:], strict=False):
                pairs[a + b] += 1 + int(count) / _SCALE
                chars[b] += int(count) / _SCALE
    for c in _GIVEN_TODAY:
        given[c] += _WEIGHT_OF_TODAY
    with open(OUT, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_rows(chars, pairs, surnames, given, whole))


def _rows(
    chars: Counter[str], pairs: Counter[str], surnames: Counter[str], given: Counter[str], whole: Counter[str]
) -> Iterator[list]:
    for kind, counts in (("char", chars), ("surname", surnames), ("given", given)):
        total = sum(counts.values())
        yield from _levels(kind, "", {c: n / total for c, n in counts.items() if n >= _FEWEST})
    after: dict[str, dict[str, float]] = defaultdict(dict)
    totals: Counter[str] = Counter()
    for pair, n in pairs.items():
        totals[pair[0]] += n
        if n >= (_FEWEST if pair[0] in SURNAMES or pair[1] in SURNAMES else _FEWEST_OF_OTHERS):
            after[pair[0]][pair[1]] = n
    for first in sorted(after):
        found = {c: (n - _DISCOUNT) / totals[first] for c, n in after[first].items()}
        yield from _levels("pair", first, found)
    by_first: dict[str, dict[str, float]] = defaultdict(dict)
    for name, n in whole.items():
        if n >= _FEWEST_GIVEN:
            by_first[name[0]][name[1]] = n / sum(whole.values())
    for first in sorted(by_first):
        yield from _levels("whole", first, by_first[first])


def _levels(kind: str, first: str, probabilities: dict[str, float]) -> Iterator[list]:
    """Characters of about the same probability share a row."""
    levels: dict[float, list[str]] = defaultdict(list)
    for c, p in probabilities.items():
        levels[round(math.log(p) / _STEP) * _STEP].append(c)
    for level in sorted(levels, reverse=True):
        yield [kind, first, "".join(sorted(levels[level])), level]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from _strings(v)
    elif isinstance(value, list):
        for v in value:
            yield from _strings(v)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
