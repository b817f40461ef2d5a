"""Two small trained networks over characters: what the rules leave, and what they are wrong about.

    随访人 向阳，已转苗苗班 -> 向阳, 苗苗班

What they say of each character (tagger_network.py) becomes spans here, by thresholds.
"""

import re
from collections.abc import Iterator

import numpy as np

from p2med.deid.keep import LATIN_WORDS, PROTECTED, begins_as_protected, is_kept
from p2med.deid.language import language
from p2med.deid.name_score import is_chinese
from p2med.deid.no_names import NAMED_AFTER, is_preposition
from p2med.deid.place_words import GENERIC
from p2med.deid.tagger_network import KINDS, NUMBER, Odds, weights
from p2med.deid.words import words

_NO_END = frozenset("病征症氏癜菌虫瘤液癌癣疮疹散剂膏肺肾骨沟囊腺鞭性式型")
_NO_LATIN_NAME = frozenset(words("no_latin_name")) | LATIN_WORDS
_ENGLISH = re.compile(r"([a-z]+[0-9]*)(?![a-z0-9'])[\s:=.]*")
_TRIMMED = frozenset(("name", "address", "hospital", "school", "company"))
_NAMED_PLACES = frozenset(("hospital", "school", "company"))
CERTAIN = 9216
"""Above this a clinical word that is no eponym and no drug is somebody: 由于今接班."""
_NO_NEXT = frozenset("癜菌虫瘤炎癌癣疹鞭沟氏征")
# English whose blanks were lost, and the pages of a journal: 41(6):408-411.
_RUN_TOGETHER = re.compile(r"[a-z0-9.,:;()\-]*[a-z]{14,}[a-z0-9.,:;()\-]*")
_PAGES = re.compile(r"\d\)?:\d[\d\-.]*")
_LONGEST_RUN = 24
_RUNS = re.compile("[a-z']{2,}|[0-9]{2,}")
# 03-21|08:00
_TIME = re.compile(r"[0-2]\d:[0-5]\d(?!\d)")
# What a number before is no date of: 10.8|±11.2, 10|-15ml, 2019|-ncov, 5日|后; but 4/25|±2天, 5.6|-5.9.
_MEASURES = re.compile(r"\s?[×*%℃]|\s?±(?!\s?\d+天)|-[a-z]|(?<=[日月])[后前内龄]")
# ICU2|周, 病区42|张床; but 5|张宇, 7|周媛.
_COUNTED = re.compile(r"(?<=\d)(?:[天日月年岁分次个例人名]|小时|张床|周(?![\u4e00-\u9fff]))")
_RANGE = re.compile(r"[-~/.]\d")
# 0/3/7/14/28, 1 2 3 4 5 6
_SERIES = re.compile(r"\d{1,2}(?:(?:[/、,]|\s+)\d{1,2}){3,}")
_AMOUNT = re.compile(r"[\u4e00-\u9fff]+\d{3,}")  # 透析300
# By KINDS, in 1/2048: bench/deid_text_tagger_fit.py on writers that the network had not met, rounded.
SURE = [2**30, 2048, 3072, 12288, 4096, 12288, 3072, 3072, 2048]
"""A span of the network's own begins where its odds against nothing are above this,"""
SURE_OF_A_WORD = 4096
"""where a name is a word of a dictionary, above this,"""
ENOUGH = [0, -2048, -2048, -1024, -1024, -1024, -2048, -2048, -1024]
"""and runs on above this."""
NOTHING = [0, -1024, -4096, -4096, -1024, -1024, -2048, -6144, -4096]
"""A rule's span stays unless all of its odds are below this;"""
END = -6144
"""its ends go where they are below this."""


def _is_term(folded: str, start: int, end: int, certain: bool) -> bool:
    """Of medicine, named after somebody: 墨菲|征, 庞贝病, 亨诺-|许兰; 炎 ends illnesses and some names."""
    last = folded[end - 1]
    return bool(
        last in _NO_END
        or last == "炎"
        and not certain
        or NAMED_AFTER.match(folded, end)
        or folded[start - 1 : start] in ("-", "–", "—")
        and is_chinese(folded[start - 2 : start - 1] or " ")
        or folded[end : end + 1] in _NO_NEXT
    )


def _whole_words(folded: str, start: int, end: int) -> tuple[int, int]:
    """No word in Latin letters and no number goes in part."""
    for run in _RUNS.finditer(folded, max(0, start - _LONGEST_RUN), end + _LONGEST_RUN):
        first, last = run.span()
        if first < start < last:
            start = first
        if first < end < last and not _TIME.match(folded, end):
            end = last
    return start, end


def _may_be_date(folded: str, start: int, end: int) -> bool:
    said = folded[start:end].rstrip("-~/.")
    end = start + len(said)
    return not (
        _MEASURES.match(folded, end) or len(said) < 3 and said.isdecimal() and _RANGE.match(folded, end)
    )


def agreed(folded: str, found: Odds, start: int, end: int, kind: str) -> tuple[int, int] | None:
    """A rule's span without the ends that the network is sure of being nothing; None if all of it is."""
    number = KINDS.index(kind) if kind in KINDS else NUMBER
    odds = found.against_nothing[start:end]
    if odds.max() < NOTHING[number]:
        # A character that texts hardly have is a name's: 何湉彧.
        if kind != "name" or all(map(language().has, filter(is_chinese, folded[start:end]))):
            return None
    if kind not in _TRIMMED:
        return start, end  # Its form says where it ends, and a day's replacement is of the whole.
    sure = np.flatnonzero(odds >= END)
    if not len(sure):
        return start, end
    # Of what it is called at its end the rules are surer: 江南水岸小|区.
    return start + int(sure[0]), start + int(sure[-1]) + 1 if kind == "name" else end


def tagger_spans(folded: str, found: Odds) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each run of characters of which one is surely of that kind."""
    kinds, margins = found
    at = 0
    sure = np.flatnonzero(margins > np.take(SURE, kinds)).tolist()
    literature = [m.span() for p in (_RUN_TOGETHER, _PAGES) for m in p.finditer(folded)] if sure else []
    for peak in sure:
        if peak < at:
            continue
        kind, enough = KINDS[int(kinds[peak])], ENOUGH[int(kinds[peak])]
        start = peak
        while start > at and margins[start - 1] > enough:
            start -= 1
        end = peak + 1
        while end < len(folded) and margins[end] > enough:
            end += 1
        at = end
        if kind == "date":
            times = (m.start() for m in _TIME.finditer(folded, start + 1, end + 4))
            end = min([end, *times])
        start, end = _whole_words(folded, start, end)
        while kind == "name" and (word := _ENGLISH.match(folded, start, end)) and word[1] in _NO_LATIN_NAME:
            start = word.end()  # guardian |anna kowalska
        if start == end:
            continue
        if any(start < stop and first < end for first, stop in literature):
            continue
        if kind == "date" and not _may_be_date(folded, start, end):
            continue
        if kind in ("date", "number") and _SERIES.fullmatch(folded, start, end):
            continue
        if kind == "bed" and (_COUNTED.match(folded, end) or _AMOUNT.fullmatch(folded, start, end)):
            continue
        most = int(margins[peak:at].max())
        certain = most > CERTAIN
        if kind == "name" and most < SURE_OF_A_WORD and folded[start:end] in weights().words:
            continue
        if kind == "name" and (
            _is_term(folded, start, end, certain) or end - start == 1 and is_preposition(folded, start)
        ):
            continue
        if kind in _NAMED_PLACES and GENERIC.fullmatch(folded, start, end):
            continue
        if is_kept(folded, start, end, of=PROTECTED if certain else None):
            continue
        if certain or not begins_as_protected(folded, start):
            yield start, end, kind
