"""Disease labels of an impression or a diagnosis, by rule, without a model.

    支气管肺炎，右侧少量胸腔积液；未见气胸。   -> ("支气管肺炎", "胸腔积液")
    1.急性支气管炎 2.肺结核待排               -> ("支气管炎",)
    两肺心膈未见明显异常。                     -> ("正常",)

The vocabulary is diagnoses.csv beside this file: one line a label, with its synonyms (`|` between them), the
label that it is a kind of, and its ICD-10 code. A line without a label lists words that hold a disease's name
and are none (肺炎链球菌). Whoever knows a hospital's wording edits that file, not this one.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Status = Literal["affirmed", "negated", "uncertain", "history"]
NORMAL = "正常"

# A clause ends at 。；，and line breaks; `、` and English commas join what one 未见 or one "no" denies.
_CLAUSE_END = re.compile(
    r"[。；;！!，\n]|(?<=[\u4e00-\u9fff]),|\.(?=\s|$)|\d+[.．、)）]\s*"
    r"|(?<=[\u4e00-\u9fff）)])(?<![见无及])\s+(?=[\u4e00-\u9fff])"
)
_SCOPE_END = re.compile(
    r"但|而|提示|出现|伴有|(?<![未没])(?:可见|见)|考虑|\bbut\b|\bhowever\b|\bwith\b(?!out)"
)
_NEGATED_BEFORE = re.compile(
    r"未见|未发现|未及|未提示|未显示|未查见|无|没有|否认|不考虑|不支持|不符合|(?<![不待未])(?:排除|除外)"
    r"|\bno\b|\bnot\b|\bwithout\b|\bnegative for\b|\bfree of\b|\babsence of\b|\brule[sd]? out\b"
)
_UNCERTAIN_BEFORE = re.compile(
    r"疑似|可疑|疑(?!难)|可能(?!性?[较更]?大)|警惕|不除外|不能除外|待除外|不排除|不能排除|未排除|待排除?|待查"
    r"|\bpossible\b|\bprobable\b|\bsuspected\b|\bsuspicious\b|\bquestionable\b|\bcannot exclude\b|\bmay be\b"
)
_AFFIRMED_BEFORE = re.compile(r"(?<!不)考虑|(?<!不)符合|\bconsistent with\b|\bcompatible with\b")
_HISTORY_BEFORE = re.compile(r"既往|曾患|曾有|曾因|病史|\bhistory of\b|\bprevious\b|\bprior\b")
_UNCERTAIN_AFTER = re.compile(
    r"\s*[（(]?\s*(?:[?？]|待排|待查|待除外|待诊|不除外|不能除外|不排除|不能排除|未排除|未除外|可疑|待定)"
)
_POSSIBLE_AFTER = re.compile(r"\s*[（(]?\s*可能(?!性?[较更]?大)")
_NEGATED_AFTER = re.compile(
    r"\s*[（(]?\s*(?:已?排除|已?除外|阴性|不支持|不考虑|依据不足|证据不足|[-－]\s*[)）])"
)
_HISTORY_AFTER = re.compile(
    r"\s*(?:家族史|病史|史|吸收后|(?:已|基本|完全)(?:吸收|消失|痊愈|治愈)|消失|术后|痊愈|治愈|后遗症?)"
)


@dataclass(frozen=True)
class Mention:
    """One place where a disease is named: `text[start:end]`."""

    label: str
    status: Status
    start: int
    end: int


@dataclass(frozen=True)
class Vocabulary:
    """`label_of` maps every spelling (lower case) to its label, "" for words that are no disease."""

    label_of: dict[str, str]
    broader: dict[str, str]
    english: dict[str, str]
    icd10: dict[str, str]
    pattern: re.Pattern[str]


@cache
def vocabulary() -> Vocabulary:
    """Read diagnoses.csv once.

    Raises:
      ValueError: two labels claim one spelling, or `broader` names no label.
    """
    path = Path(__file__).with_name("diagnoses.csv")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    label_of: dict[str, str] = {}
    for row in rows:
        spellings = {x for x in (row["label_zh"], *row["synonyms"].split("|")) if x}
        for spelling in sorted(_plain(x) for x in spellings if x != NORMAL):
            if label_of.setdefault(spelling, row["label_zh"]) != row["label_zh"]:
                raise ValueError(f"diagnoses.csv: {spelling} belongs to two labels")
    labels = {r["label_zh"] for r in rows if r["label_zh"]}
    broader = {r["label_zh"]: r["broader"] for r in rows if r["broader"]}
    if unknown := sorted(set(broader.values()) - labels):
        raise ValueError(f"diagnoses.csv: broader names no label: {unknown}")
    return Vocabulary(
        label_of=label_of,
        broader=broader,
        english={r["label_zh"]: r["label_en"] for r in rows},
        icd10={r["label_zh"]: r["icd10"] for r in rows},
        pattern=re.compile(_alternatives(label_of)),
    )


def _alternatives(spellings: dict[str, str]) -> str:
    """Longest first, so that 支气管肺炎 is not read as 肺炎; Latin words end at word ends."""
    ordered = sorted(spellings, key=lambda s: (-len(s), s))
    latin = "|".join(re.escape(s) for s in ordered if s.isascii())
    chinese = "|".join(re.escape(s) for s in ordered if not s.isascii())
    return f"(?:{chinese})|(?<![a-z])(?:{latin})(?![a-z])"


def mentions(text: str) -> tuple[Mention, ...]:
    """Find every named disease and whether the text affirms it, in reading order."""
    known, plain = vocabulary(), _plain(text)
    if re.fullmatch(r"\s*正常[。.]?\s*|\s*normal\.?\s*", plain):
        return (Mention(NORMAL, "affirmed", 0, len(text)),)
    ends = [m.end() for m in _CLAUSE_END.finditer(plain)]
    found = []
    for match in known.pattern.finditer(plain):
        label = known.label_of[match.group()]
        if not label:
            continue
        start = max((e for e in ends if e <= match.start()), default=0)
        status = _status(plain[start : match.start()], plain[match.end() : match.end() + 12], label)
        found.append(Mention(label, status, match.start(), match.end()))
    return tuple(found)


def _status(before: str, after: str, label: str) -> Status:
    """Decide from the clause before the mention and the few characters after it."""
    considered = _AFFIRMED_BEFORE.search(before)
    if _HISTORY_AFTER.match(after) or _HISTORY_BEFORE.search(before):
        return "history"
    if _UNCERTAIN_AFTER.match(after):
        return "uncertain"
    if _NEGATED_AFTER.match(after):
        return "negated"
    breaks = [m.end() for m in _SCOPE_END.finditer(before)]
    scope = before[breaks[-1] :] if breaks else before
    if _UNCERTAIN_BEFORE.search(scope):
        return "uncertain"
    # 未见明显异常 holds its own denial; 不考虑 is both a scope's end and a denial.
    if label != NORMAL and (_NEGATED_BEFORE.search(scope) or re.search(r"不考虑[^见]*$", before)):
        return "negated"
    if _POSSIBLE_AFTER.match(after) and not considered:
        return "uncertain"
    return "affirmed"


def extract(text: str) -> tuple[str, ...]:
    """Affirmed diseases in order of first mention; the general one goes where a special one is affirmed.

    正常 is a label only of a text that affirms nothing else.
    """
    affirmed = [m.label for m in mentions(text) if m.status == "affirmed"]
    return simplify(affirmed)


def simplify(labels: list[str]) -> tuple[str, ...]:
    """Drop repeats, labels that another one makes precise, and 正常 beside a disease."""
    broader = vocabulary().broader
    implied = set()
    for label in labels:
        while label in broader:
            label = broader[label]
            implied.add(label)
    kept = [x for x in dict.fromkeys(labels) if x not in implied]
    return tuple(x for x in kept if x != NORMAL or len(kept) == 1)


def english(label: str) -> str:
    """The English name of a label, for reports; the label itself if it is not in the vocabulary."""
    return vocabulary().english.get(label, label)


_ASCII = {0xFF01 + i: 0x21 + i for i in range(94) if chr(0x21 + i).isalnum()}


def _plain(text: str) -> str:
    """Full-width letters and digits to ASCII, Latin to lower case; every position stays where it is."""
    folded = text.translate(_ASCII)
    return "".join(c.lower() if c.isascii() else c for c in folded)
