"""Names of people: after a role or label, before a title, in a signature, or where likelier than words.

患儿宋诗梓于3天前… -> 宋诗梓        父亲高血压 -> nothing        王主任查房 -> 王
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from p2med.deid.cues import BEFORE_NAME, NO_NAMES, PROFESSION, TITLE, TITLE_OF_SURNAME, any_of
from p2med.deid.folding import CHINESE
from p2med.deid.language import language
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES
from p2med.deid.words import words

# Log odds that a name begins here, by what stands before it.
_AFTER_LABEL, _AFTER_ROLE_AND_GAP, _AFTER_ROLE = 0.0, -1.0, -3.0
_ALONE, _BEFORE_VERB, _BOUNDED, _ANYWHERE = -1.8, -4.0, -5.5, -9.0
# 牛眼征, 索条影: the last character of terms.
_NO_GIVEN = frozenset("征斑癌瘤炎症肺骨壁裂臼腺叶区影管囊饮草汤膏")
_NEVER_GIVEN = frozenset("氏病菌热瘤癌炎症")
# 曾于, 史无, 应二: a small word after a small word, unless a label says that it is a name.
_SMALL_GIVEN = frozenset("一二三四五六七八九十〇○零于在有无因经至到从与予行为是已未及其之以")
_MARCHES = ("长征", "远征", "东征", "南征", "国征", "新征", "建征")
# 墨菲征, 安格尔曼综合征, 夏科-马里-图思病: what is named after somebody.
_NAMED_AFTER = re.compile(
    r"[\u4e00-\u9fff]{0,2}(?:综合[征症]|量表|手法|小体)|(?:[-–—][\u4e00-\u9fff]{1,6}){1,2}?(?:综合|病|征|小体|二氏)|征(?![求得集])|氏|瘤|菌|试验|反射|评分|"
    r"量表|染色|手法|小体|憩室|畸形|呼吸(?![急困平音尚促道稍频])|病(?![史房人区情历程重危友愈故倒例案号因假])"
)
# Family names that mostly are small words: 左肺, 余肋骨, 诸骨, 那宝宝.
_SMALL_WORDS = frozenset("班左余诸双但那有来后全空拟才从可能先经由管应")
_SMALL_WORD = -3.0
_BEFORE_TITLE, _BEFORE_PROFESSION = 4.0, 7.5
_ENOUGH = 0.0
# What often follows a name, as log probabilities; other characters as in any text.
_FOLLOWING = {c: -3.3 for c in "于因诉出来在男女今昨的"} | {
    c: -4.6
    for c in "自入近家父母已曾未无有为代及和与等以由经称说述现起发查陪签主医护老同至到前后上下等一之表接抱送带牵领可会能叫问副不也又仍反精神体咳目住接告知"
}
_BOUNDARY = -0.7
_BOUNDARY_IN_WORDS = -2.0
_LENGTH = {1: -1.4, 2: -0.3, 3: -7.0}
_SURNAME = re.compile("[" + "".join(sorted(SURNAMES)) + "]")
_COMPOUND = re.compile("|".join(COMPOUND_SURNAMES))
_CHINESE = re.compile(f"[{CHINESE}]")
_TRANSLITERATED = re.compile(f"[{''.join(words('transliteration'))}]{{3,8}}")
_DOT = re.compile(rf"(?<=[{CHINESE}])\s?[·•・‧]\s?(?=[{CHINESE}])")
# Brands, eponyms and places look like names; what follows tells.
_NO_NAME_BEFORE = re.compile(
    r"[省市县区镇乡村路街巷](?!长)|医院|大学|小学|中学|学校|幼儿园|公司|诊所|门诊|广场|集团|超市|派出所|快递|海关|花园|小区|大厦|\s?(?:\+|\*|\d+(?:\.\d+)?\s?(?:mg|g\b|ml|ug|μg|iu|u\b|万|毫|克|片|粒|支|袋|丸|滴|包|瓶|单位)|方案|胶囊|颗粒|口服|针|片|注射|滴|软膏|糖浆|乳膏|散|丸|杆菌|益生菌|治疗|化疗|氏|征|病|综合|染色|细胞|临床|试验|法|式|线|管)"
)
_TRANSLITERATED_ONE = re.compile(_TRANSLITERATED.pattern.removesuffix("{3,8}"))
_TOKEN = re.compile(rf"[{CHINESE}]{{2,8}}(?![{CHINESE}])")
_PET = re.compile(rf"(?:([{CHINESE}])\1(?!\1)|[{CHINESE}]{{2,4}}(?![{CHINESE}])|[小大阿][{CHINESE}])")
_SURNAME_SAID = re.compile(
    f"(?:免贵|家长|父亲|母亲|患儿|孩子|本人|我|他|她|医生|阿姨|老师)?姓(?P<name>{'|'.join(COMPOUND_SURNAMES)}|[{''.join(sorted(SURNAMES))}])(?=[,，。;；、)\\s的]|$|，)"
)
_RARE_IN_WORDS = -5.9
_LONGEST_PART = 7
# 流调员李芳, 证明人李芳, 副麻李芳: any word for a person may stand before a name.
_PERSON = frozenset("员人者师工警士长生手麻主")
_AFTER_PERSON, _BEFORE_STOP = 4.0, 2.5
# After its character before it, a family name so likely is the rest of a word: 主任, 医师.
_A_WORD = -4.6
_SURNAME_BEFORE_TITLE = 4.0
_COMPOUND_IS_NO_WORD = 9.0
_FILLED_IN, _FULL_STOP = 4.0, 2.0
_VERB = 1.0
_NEXT_LABEL = re.compile(
    "电话|身份证|手机|住址|地址|联系|关系|性别|年龄|日期|时间|工号|职称|科室|病区|职业|单位|微信|床号|住院号"
)
_LONG_ROLE = re.compile(any_of(w for w in words("role") if len(w) > 1))
_AND = re.compile(r"\s?[/、]\s?|[和及与]")
# 班主任 and 随车医生 are no people of these families.
_SELDOM_ALONE = frozenset("主该管单各那本几多经和向由为班车")
_HIDDEN = re.compile(r"某{1,2}|[x×*○〇]{1,2}(?![x×*○〇\d])")


@dataclass(frozen=True)
class Cue:
    """What stands before a name: its log odds, and whether it is a role, a label or announces a nickname."""

    odds: float
    kind: str
    gap: str = ""
    short: bool = False


def name_spans(folded: str, cues: dict[int, Cue], inside: set[int]) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, labelled) of each Chinese name; `labelled`: a word before it says that it is one.

    Args:
      cues, inside: of find_cues; what follows a name is added to `cues` (李芳/王强).
    """
    taken = 0
    starts = {m.start() for p in (_SURNAME, _COMPOUND) for m in p.finditer(folded)} | set(cues)
    for start in sorted(starts):
        if start < taken or start in inside or start not in cues and _LONG_ROLE.match(folded, start):
            continue
        if not _CHINESE.match(folded, start):
            continue
        cue = cues.get(start)
        end = _end_of_name(folded, start, cue)
        announced = cue or folded[start - 1 : start] == ":"
        if announced and (foreign := _end_of_foreign(folded, start)) and foreign > max(start + 3, end or 0):
            end = foreign
        if not end and cue:
            end = _end_of_other_name(folded, start, cue)
        if not end:
            end = _end_of_surname(folded, start, cue)
        if end:
            taken = end
            if joint := _AND.match(folded, end):
                cues.setdefault(joint.end(), Cue(_AFTER_ROLE_AND_GAP, "role"))
            yield start, end, cue is not None and cue.odds >= _AFTER_LABEL
    for dot in _DOT.finditer(folded):
        yield *_around_dot(folded, dot, cues), False
    for found in _SURNAME_SAID.finditer(folded):
        yield *found.span("name"), True


def find_cues(folded: str) -> tuple[dict[int, Cue], set[int]]:
    """Where a name may begin, and what says so; and where none may: inside such a word (接班, 副麻)."""
    found: dict[int, Cue] = {}
    inside: set[int] = set()
    for cue in BEFORE_NAME.finditer(folded):
        if cue["label"]:
            kind = Cue(_AFTER_LABEL if cue["label_gap"] else _AFTER_ROLE, "label")
        elif cue["pet"]:
            kind = Cue(_AFTER_ROLE_AND_GAP, "pet")
        else:
            gap = (cue["gap"] or "").strip()
            kind = Cue(_AFTER_ROLE_AND_GAP if cue["gap"] else _AFTER_ROLE, "role", gap, len(cue["role"]) == 1)
        found[cue.end()] = kind
        inside.update(
            range(cue.start() + 1, cue.end(cue.lastgroup.removesuffix("_gap").replace("gap", "role")))
        )
    return found, inside - found.keys()


def _end_of_name(folded: str, start: int, cue: Cue | None) -> int | None:
    """Where the name that begins here ends, or None if none begins."""
    before = folded[start - 1] if start else ""
    if not cue and _is_preposition(folded, start):
        return None
    if not cue and _CHINESE.match(before) and language().after(before, folded[start]) > _A_WORD:
        return None
    compound = _COMPOUND.match(folded, start)
    surname = compound[0] if compound else folded[start]
    if not compound and surname not in SURNAMES or TITLE_OF_SURNAME.match(folded, start + len(surname)):
        return None
    best, end = _ENOUGH, None
    for length in (1, 2) if compound else (1, 2, 3):
        stop = start + len(surname) + length
        given = folded[start + len(surname) : stop]
        if len(given) < length or not _CHINESE.match(given[-1]):
            break
        if _is_no_name(folded, surname, given, stop, cue):
            continue
        score = _score(folded, "" if cue else before, surname, given, stop)
        score += _odds(folded, before, stop, cue) + (_COMPOUND_IS_NO_WORD if compound else 0)
        if not cue and surname in _SMALL_WORDS:
            score += _SMALL_WORD
        if score > best:
            best, end = score, stop
    return end


_YU_BEFORE_TITLE = re.compile(
    r"于[\u4e00-\u9fff]{0,2}(?:副?主任|医[师生]|大夫|副?教授|护士|护师|老师|副?院长|技师|药师)"
)
_AT = re.compile(r"[\u4e00-\u9fff]{0,8}?(?:医院|诊所|门诊部|卫生院|大学|医学院|幼儿园|小学)")


def _is_preposition(folded: str, start: int) -> bool:
    """于 within a sentence: 任职于, 就诊于, 生于; 于 after a comma may be one, too."""
    before = folded[start - 1 : start]
    if folded[start] == "于" and _YU_BEFORE_TITLE.match(folded, start):
        return False
    return folded[start] in "于由经" and bool(before) and (before in ",，、" or bool(_CHINESE.match(before)))


def _is_no_name(folded: str, surname: str, given: str, stop: int, cue: Cue | None) -> bool:
    """What no score needs to be asked for: doubled words, names of drugs and signs, four characters at random."""
    if given[0] == surname and not cue or len(given) == 3 and given[0] not in SURNAMES:
        return True
    if cue and (
        cue.short and _NO_NAME_BEFORE.match(folded, stop) or surname in "于由经曾" and _AT.match(folded, stop)
    ):
        return True
    if not cue and (
        _SMALL_GIVEN.issuperset(given) or given[-1] in _NO_GIVEN or _NO_NAME_BEFORE.match(folded, stop)
    ):
        return True
    return surname + given in NO_NAMES or _is_term(folded, given, stop)


def _odds(folded: str, before: str, stop: int, cue: Cue | None) -> float:
    """Log odds that a name stands here, by what is before and behind it."""
    follows = _CHINESE.match(folded, stop) and not _NEXT_LABEL.match(folded, stop)
    odds = _BEFORE_PROFESSION if PROFESSION.match(folded, stop) else 0.0
    if not odds and TITLE.match(folded, stop):
        odds = _BEFORE_TITLE
    if cue:
        filled_in = _FILLED_IN if cue.gap == ":" else _FULL_STOP
        if follows:
            return odds + cue.odds + (_VERB if folded[stop] in _FOLLOWING else 0.0)
        return odds + cue.odds + filled_in
    if not before or not (_CHINESE.match(before) or before.isalnum()):
        if not follows:
            return odds + _ALONE
        return odds + (_BEFORE_VERB if folded[stop] in _FOLLOWING else _BOUNDED)
    return odds + _ANYWHERE + (0 if follows else _BEFORE_STOP) + (_AFTER_PERSON if before in _PERSON else 0)


def _is_term(folded: str, given: str, stop: int) -> bool:
    if _NEVER_GIVEN.intersection(given) or given[-1] == "征" and given not in _MARCHES:
        return True
    return _NAMED_AFTER.match(folded, stop) is not None


def _end_of_other_name(folded: str, start: int, cue: Cue) -> int | None:
    """A name without a family name of the list: a nickname, a name of another people, anything after `姓名:`."""
    if cue.kind == "pet" and (pet := _PET.match(folded, start)):
        return pet.end()
    token = _TOKEN.match(folded, start)
    word = token[0] if token else ""
    if token and cue.kind == "label" and cue.odds >= _AFTER_LABEL and 2 <= len(word) <= 5:
        return None if word in NO_NAMES or _has_role(word) else token.end()
    return _end_of_foreign(folded, start)


def _end_of_foreign(folded: str, start: int) -> int | None:
    """才让卓玛: three and more characters of such names that no text has beside each other."""
    found = _TRANSLITERATED.match(folded, start)
    rare = found and language().words("", found[0]) < _RARE_IN_WORDS * len(found[0])
    if not rare or found[0][-1] in _NEVER_GIVEN or _NAMED_AFTER.match(folded, found.end()):
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
    if not cue and _is_preposition(folded, start):
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
    if before in ("小", "老", "大") and start > 1:
        before = folded[start - 2 : start - 1]
    known = language()
    if not cue and _CHINESE.match(before) and known.after(before, surname) > _A_WORD:
        return None
    as_words = known.words(before if _CHINESE.match(before) else "", surname) + known.after(
        surname, folded[stop]
    )
    as_name = known.surname.get(surname, -12.0) + known.char.get(folded[stop], -8.0) + _SURNAME_BEFORE_TITLE
    return stop if as_name > as_words else None


def _around_dot(folded: str, dot: re.Match[str], cues: dict[int, Cue]) -> tuple[int, int]:
    """买买提·艾山 stands among words without a gap: it goes on as far as the characters of such names do."""
    start, end = dot.span()
    said = [p for p in cues if start - _LONGEST_PART <= p <= start - 2]
    while start > 0 and dot.start() - start < _LONGEST_PART and _TRANSLITERATED_ONE.match(folded[start - 1]):
        start -= 1
    while end < len(folded) and end - dot.end() < _LONGEST_PART and _TRANSLITERATED_ONE.match(folded[end]):
        end += 1
    start = max([start, *said]) if said else start
    return min(start, dot.start() - 2), max(end, dot.end() + 2)


def _score(folded: str, before: str, surname: str, given: str, stop: int) -> float:
    """log P(as a name) - log P(as words), with the character that follows."""
    known = language()
    words = known.words(before if _CHINESE.match(before or " ") else "", surname + given)
    score = known.name(surname, given) + _LENGTH[len(given)] - words
    following = folded[stop : stop + 1]
    if following and _CHINESE.match(following) and not _NEXT_LABEL.match(folded, stop):
        after_name = max(_FOLLOWING.get(following, -99.0), known.char.get(following, -12.5))
        return score + after_name - known.after(given[-1], following)
    return score + _BOUNDARY - _BOUNDARY_IN_WORDS
