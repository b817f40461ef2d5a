"""Names of people: after a role or label, before a title, in a signature, or where likelier than words.

患儿宋诗梓于3天前… -> 宋诗梓        父亲高血压 -> nothing        王主任查房 -> 王
"""

import re
from collections.abc import Collection, Iterator
from typing import Literal

from p2med.deid.cues import BEFORE_NAME, NO_NAMES, TITLE_OF_SURNAME, any_of
from p2med.deid.folding import CHINESE
from p2med.deid.keep import term_length
from p2med.deid.language import language
from p2med.deid.name_likelihood import SMALL_WORDS_BEFORE, Cue
from p2med.deid.name_score import Left, is_chinese, score
from p2med.deid.no_names import (
    NAMED_AFTER,
    NEVER_GIVEN,
    is_no_name,
    is_part_of_an_organ,
    is_preposition,
)
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES
from p2med.deid.words import words

ENOUGH = {"label": -84, "role": -60, "and": -60, "pet": -60, "": -36}
"""By what stands before. A name that is missed weighs more than a word that is lost."""
_COMPOUND = re.compile("|".join(COMPOUND_SURNAMES))
_CHINESE = re.compile(f"[{CHINESE}]")
_TRANSLITERATED = re.compile(f"[{''.join(words('transliteration'))}]{{3,8}}")
_TRANSLITERATED_START = re.compile(rf"(?<![{CHINESE}])(?={_TRANSLITERATED.pattern})")
_DOT = re.compile(rf"(?<=[{CHINESE}])\s?[·•・‧]\s?(?=[{CHINESE}])")
_TRANSLITERATED_ONE = re.compile(_TRANSLITERATED.pattern.removesuffix("{3,8}"))
_TOKEN = re.compile(rf"[{CHINESE}]{{2,8}}(?![{CHINESE}])")
_PET = re.compile(rf"(?:([{CHINESE}])\1(?!\1)|[{CHINESE}]{{2,4}}(?![{CHINESE}])|[小大阿][{CHINESE}])")
_SURNAME_SAID = re.compile(
    f"(?:免贵|家长|父亲|母亲|患儿|孩子|本人|我|他|她|医生|阿姨|老师)?姓(?P<name>{'|'.join(COMPOUND_SURNAMES)}|[{''.join(sorted(SURNAMES))}])(?=[,，。;；、)\\s的]|$|，)"
)
_FAMILIES = f"(?:{'|'.join(COMPOUND_SURNAMES)}|[{''.join(sorted(SURNAMES))}])"
_OURSELVES = re.compile(rf"(?:[我她他]|免贵|本人|[家长您])姓(?P<name>{_FAMILIES})")
# 唐郑两位老师
_TOGETHER = re.compile(rf"(?P<name>{_FAMILIES}{{2,3}})(?=[两二三几]位|二人|两人)")
_RARE_IN_WORDS = -5.9
_LONGEST_PART = 7
# After its character before it, a family name so likely is the rest of a word: 主任, 医师.
_A_WORD = -4.6
_SURNAME_BEFORE_TITLE = 4.0
_LONG_ROLE = re.compile(any_of(w for w in words("role") if len(w) > 1 and w[0] != "孙"))
_COMPOUND_START = re.compile("|".join(r"\s{0,2}".join(s) for s in COMPOUND_SURNAMES))
_SPACED_FOREIGN = re.compile(
    rf"{_TRANSLITERATED_ONE.pattern}(?:[ ·\u3000]{{1,3}}{_TRANSLITERATED_ONE.pattern}){{3,11}}"
)
_SPACED = re.compile(rf"[{CHINESE}](?:[ \u3000\t]{{1,4}}[{CHINESE}]){{1,3}}")
_SPACED_ON = re.compile(rf"[ \u3000\t]{{1,4}}[{CHINESE}](?![{CHINESE}])")
_AND = re.compile(r"\s?[/、]\s?|[和及与]")
# 班主任 and 随车医生 are no people of these families.
_SELDOM_ALONE = frozenset("主该管单各那本几多经和向由为班车区卡母计楼战敬福岩化渠种初英盘巨户元平靖习后")
_WORDS_TOO = frozenset("时应都")
"""Family names that stand before a title as words do: 必要时护士协助, 都主任说过."""
_HIDDEN = re.compile(r"某{1,2}|[x×*○〇]{1,2}(?![x×*○〇\d])")


Announced = Literal["label", "role", "nothing"]


def name_spans(folded: str, cues: dict[int, Cue], inside: set[int]) -> Iterator[tuple[int, int, Announced]]:
    """Yield (start, end, announced) of each Chinese name: by a label, by a role, or by nothing before it.

    Args:
      cues, inside: of find_cues; what follows a name is added to `cues` (李芳/王强).
    """
    taken = 0
    starts = name_starts(folded, cues, inside)
    judged: dict[int, tuple[int, int] | None] = {}

    def best(start: int) -> tuple[int, int] | None:
        if start not in judged:
            judged[start] = _best_name(folded, start, cues.get(start))
        return judged[start]

    for start in sorted(starts):
        if start < taken:
            continue
        cue = cues.get(start)
        found = best(start)
        if found and any(
            (other := best(later)) and other > found
            for later in range(start + 1, found[1])
            if later in starts
        ):
            # 交|白班邱 and 白班|邱根萍: the likelier of the two.
            continue
        end = found[1] if found else None
        announced = (
            cue or folded[start - 1 : start] in (":", "科", "室") or not is_chinese(folded[start - 1 : start])
        )
        if announced and (foreign := _end_of_foreign(folded, start)) and foreign > max(start + 3, end or 0):
            end = foreign
        if not end and cue:
            end = _end_of_other_name(folded, start, cue)
        if not end:
            end = _end_of_surname(folded, start, cue)
        if not end and folded[start + 1 : start + 2].isspace():
            end = _end_of_spaced_name(folded, start, cue)
        if end:
            taken = end
            if joint := _AND.match(folded, end):
                if joint.end() not in cues:
                    cues[joint.end()] = Cue("and")
                    judged.pop(joint.end(), None)
            yield start, end, _announced(cue)
    for dot in _DOT.finditer(folded):
        if span := _around_dot(folded, dot, cues):
            yield *span, "nothing"
    for found in _SPACED_FOREIGN.finditer(folded):
        yield *found.span(), "nothing"
    for pattern in (_SURNAME_SAID, _OURSELVES, _TOGETHER):
        for found in pattern.finditer(folded):
            yield *found.span("name"), "label"


def _announced(cue: Cue | None) -> Announced:
    if cue is None:
        return "nothing"
    return "label" if cue.kind == "pet" or cue.kind == "label" and cue.gap else "role"


def find_cues(folded: str) -> tuple[dict[int, Cue], set[int]]:
    """Where a name may begin, and what says so; and where none may: inside such a word (接班, 副麻)."""
    found: dict[int, Cue] = {}
    inside: set[int] = set()
    for cue in BEFORE_NAME.finditer(folded):
        kind = "label" if cue["label"] else "pet" if cue["pet"] else "role"
        gap = cue["label_gap" if kind == "label" else "pet_gap" if kind == "pet" else "gap"] or ""
        found[cue.end()] = Cue(kind, gap.strip() or gap[:1], len(cue[kind]) == 1)
        inside.update(range(cue.start() + 1, cue.end(kind)))
    return found, inside - found.keys()


def name_starts(folded: str, cues: Collection[int], inside: Collection[int]) -> set[int]:
    """After cues, before titles, around rare characters, not within roles. The tagger finds the rest."""
    found = {m.start() for p in (_COMPOUND_START, _TRANSLITERATED_START) for m in p.finditer(folded)}
    for title in TITLE_OF_SURNAME.finditer(folded):
        found |= {at for at in range(max(0, title.start() - 3), title.start()) if folded[at] in SURNAMES}
    # 予罗湉曈查血常规, 予刘 芃 祎查血常规: no networks have met such characters, or all of them alone.
    known = language()
    for at, c in enumerate(folded):
        if is_chinese(c) and not known.has(c):
            found |= {n for n in range(max(0, at - 2), at) if folded[n] in SURNAMES}
    found |= {m.start() for m in _SPACED.finditer(folded) if folded[m.start()] in SURNAMES}
    found |= set(cues)
    return {
        at
        for at in found - set(inside)
        if is_chinese(folded[at : at + 1]) and not _LONG_ROLE.match(folded, at)
    }


def candidates(folded: str, start: int, cue: Cue | None) -> Iterator[tuple[int, int]]:
    """Yield (where the given name begins, where it ends) of each name that may begin at `start`."""
    if not cue and (is_preposition(folded, start) or is_part_of_an_organ(folded, start)):
        return
    compound = _COMPOUND.match(folded, start)
    surname = compound[0] if compound else folded[start]
    given_at = start + len(surname)
    if not compound and surname not in SURNAMES or TITLE_OF_SURNAME.match(folded, given_at):
        return
    if not cue and _LONG_ROLE.match(folded, given_at):
        return
    for length in (1, 2) if compound else (1, 2, 3):
        stop = given_at + length
        given = folded[given_at:stop]
        if len(given) < length or not is_chinese(given[-1]):
            return
        if is_no_name(folded, surname, given, stop, cue):
            continue
        if given[-1] == "时" and TITLE_OF_SURNAME.match(folded, stop):
            continue  # 满月时医生叫我们补钙
        yield given_at, stop


def _best_name(folded: str, start: int, cue: Cue | None) -> tuple[int, int] | None:
    """(score, end) of the likeliest name that begins here, or None if none does."""
    left: Left | None = None
    found: tuple[int, int] | None = None
    enough = ENOUGH[cue.kind if cue else ""]
    for given_at, stop in candidates(folded, start, cue):
        left = left or Left(folded, start, cue)
        odds = score(folded, start, given_at, stop, left)
        if odds is not None and odds > enough and (found is None or (odds, stop) > found):
            found = odds, stop
    return found


def _end_of_spaced_name(folded: str, start: int, cue: Cue | None) -> int | None:
    """王 小 明 and 张　　伟, as forms and signatures have them."""
    found = _SPACED.match(folded, start)
    if not found:
        return None
    if not cue and _SPACED_ON.match(folded, found.end()):
        # 支 气 管 肺 炎: all of the text is spaced.
        return None
    before = folded[start - 1 : start]
    if not cue and _CHINESE.match(before):
        gaps = set(re.split(f"[{CHINESE}]+", found[0])[1:-1])
        if len(found[0].split()) < 3 or len(gaps) > 1 or language().after(before, folded[start]) > _A_WORD:
            return None
    cue = cue or Cue("role")
    squeezed = "".join(found[0].split())
    for length in range(len(squeezed), 1, -1):
        places = [n for n in range(start, found.end()) if not folded[n].isspace()][:length]
        local = folded[:start] + squeezed[:length] + folded[places[-1] + 1 :]
        name = _best_name(local, start, cue)
        if name and name[1] == start + length:
            return places[-1] + 1
    return None


def _end_of_other_name(folded: str, start: int, cue: Cue) -> int | None:
    """A name without a family name of the list: a nickname, 卓玛央金, anything after `姓名:`."""
    if cue.kind == "pet" and (pet := _PET.match(folded, start)):
        return pet.end()
    token = _TOKEN.match(folded, start)
    word = token[0] if token else ""
    if token and cue.kind == "label" and cue.gap and 2 <= len(word) <= 5:
        return None if word in NO_NAMES or _has_role(word) else token.end()
    return _end_of_foreign(folded, start)


def _end_of_foreign(folded: str, start: int) -> int | None:
    """才让卓玛: three and more characters of such names that no text has beside each other."""
    found = _TRANSLITERATED.match(folded, start)
    rare = found and language().words("", found[0]) < _RARE_IN_WORDS * len(found[0])
    if found and len(found[0]) - term_length(folded, start) < 2:
        return None  # 阿比多尔|可能性大
    if not rare or NEVER_GIVEN.intersection(found[0]) or NAMED_AFTER.match(folded, found.end()):
        return None
    return found.end()


def _has_role(word: str) -> bool:
    return word[-2:] in NO_NAMES or word[:2] in NO_NAMES


def _end_of_surname(folded: str, start: int, cue: Cue | None) -> int | None:
    """A family name alone: 王主任, 李某, 张××, 小王护士."""
    compound = _COMPOUND.match(folded, start)
    surname = compound[0] if compound else folded[start]
    if not compound and surname not in SURNAMES:
        return None
    stop = start + len(surname)
    if not cue and is_preposition(folded, start):
        return None
    hidden = _HIDDEN.match(folded, stop)
    if hidden and (folded[stop] != "x" or not folded[hidden.end() : hidden.end() + 1].isalnum()):
        before = folded[start - 1 : start]
        return (
            hidden.end()
            if cue or not _CHINESE.match(before) or language().after(before, surname) < -6
            else None
        )
    if not TITLE_OF_SURNAME.match(folded, stop) or not compound and surname in _SELDOM_ALONE and not cue:
        return None
    before = folded[start - 1 : start]
    if surname in _WORDS_TOO and not cue and _CHINESE.match(before):
        return None
    if before in ("小", "老", "大") and start > 1:
        before = folded[start - 2 : start - 1]
    if before in SMALL_WORDS_BEFORE:
        before = ""
    known = language()
    if not cue and _CHINESE.match(before) and known.after(before, surname) > _A_WORD:
        return None
    as_words = known.words(before if _CHINESE.match(before) else "", surname) + known.after(
        surname, folded[stop]
    )
    as_name = known.surname.get(surname, -12.0) + known.char.get(folded[stop], -8.0) + _SURNAME_BEFORE_TITLE
    return stop if as_name > as_words else None


def _around_dot(folded: str, dot: re.Match[str], cues: dict[int, Cue]) -> tuple[int, int] | None:
    """买买提·艾山 stands among words without a gap: it goes on as far as the characters of such names do."""
    start, end = dot.span()
    said = [p for p in cues if start - _LONGEST_PART <= p <= start - 2]
    while start > 0 and dot.start() - start < _LONGEST_PART and _TRANSLITERATED_ONE.match(folded[start - 1]):
        start -= 1
    while end < len(folded) and end - dot.end() < _LONGEST_PART and _TRANSLITERATED_ONE.match(folded[end]):
        end += 1
    if not said and dot.start() - start < 2 and end - dot.end() < 2:
        return None
    start = max([start, *said]) if said else start
    return max(0, min(start, dot.start() - 2)), min(len(folded), max(end, dot.end() + 2))
