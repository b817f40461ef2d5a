"""What a text says of a disease that it names: affirmed, negated, uncertain or history; by rule.

    气胸 -> affirmed   未见气胸 -> negated   气胸待排、气胸？ -> uncertain   气胸术后、既往气胸 -> history

The rules read the clause before the mention, what stands between the halves of a split spelling, and the few
characters after it. 考虑 and 可能性大 affirm, 可能 alone does not.
"""

import re
from typing import Literal

Status = Literal["affirmed", "negated", "uncertain", "history"]

# A clause ends at 。；，and line breaks; `、` and English commas join what one 未见 or one "no" denies.
_CLAUSE_END = re.compile(
    r"[。；;！!，\n\t]|(?<=[\u4e00-\u9fff）)\]]),|\.(?=\s|$)|\d+[.．、)）]\s*"
    r"|(?<=[\u4e00-\u9fff）)])(?<![见无及])\s+(?=[\u4e00-\u9fff])"
)
_SCOPE_END = re.compile(
    r"但|而|提示|出现|伴有|(?<![未没])(?:可见|见)|考虑|\bbut\b|\bhowever\b|\bwith\b(?!out)"
)
_DENIAL = (
    r"未见|未发现|未及|未提示|未显示|未查见|未闻|未探及|无(?![痛创热力菌效]|明显诱因|诱因)|没有|否认|不考虑"
    r"|不支持|不符合|不伴|(?<![不待未])(?:排除|除外)|(?:没|不|未)(?:再|出现|怎么)?$"
)
_NEGATED_BEFORE = re.compile(
    _DENIAL + r"|\bno\b|\bnot\b|\bwithout\b|\bnegative for\b|\bfree of\b|\babsence of\b|\brule[sd]? out\b"
)
_NEGATED_BETWEEN = re.compile(_DENIAL + r"|不(?!规则|均)|非")
_UNCERTAIN_BEFORE = re.compile(
    r"疑似|可疑|疑(?!难)|可能(?!性?[较更]?大|的诊断)|警惕|注意|类似|是不是|是否|会不会|怀疑|担心|害怕|不除外|不能除外|待除外|不排除|不能排除|未排除|待排除?|待查"
    r"|\bpossible\b|\bprobable\b|\bsuspected\b|\bsuspicious\b|\bquestionable\b|\bcannot exclude\b|\bmay be\b"
)
_AFFIRMED_BEFORE = re.compile(r"(?<!不)考虑|(?<!不)符合|\bconsistent with\b|\bcompatible with\b")
_HISTORY_BEFORE = re.compile(
    r"既往|曾患|曾有|曾因|曾诊断|患过|得过|(?<!合)(?<!床)病史|(?:上个?月|去年|前年|[年月]前)[^，。；]*(?:患|诊断|确诊|住院|因为?)"
    r"|\bhistory of\b|\bprevious\b|\bprior\b"
)
_UNCERTAIN_AFTER = re.compile(
    r"(?:\s*[及和或与][^，。；、,;]{1,9}?(?=不除外|不能除外|不排除|不能排除|待排))?"
    r"\s*[（(]?\s*(?:[?？吗]|待排|待查|待除外|待诊|不除外|不能除外|不排除|不能排除|未排除|未除外|可疑|待定)"
)
_POSSIBLE_AFTER = re.compile(r"\s*[（(]?\s*可能(?!性?[较更]?大)")
_NEGATED_AFTER = re.compile(
    r"\s*[（(]?\s*(?:已?排除|已?除外|阴性|不支持|不考虑|依据不足|证据不足|[-－]\s*[)）])"
)
_HISTORY_AFTER = re.compile(
    r"\s*(?:家族史|病史|史|吸收后|(?:已|基本|完全|治疗后)*(?:吸收(?=[，。；]|$)|消失|痊愈|治愈)|后遗症?"
    r"|(?:根治性?|切除|修补|矫治|封堵|保乳|改良|姑息性?|微创|综合|部分|介入)*(?:术后|切除后))"
)
_OPEN_CAUSE = re.compile(r"\s*[（(]?\s*(?:原因|性质|病因)?待[查诊定]")
"""After a symptom or a lump: it is there, only its cause is not known yet."""


def clause_starts(folded: str) -> list[int]:
    """Where the clauses of a text begin, 0 not counted."""
    return [m.end() for m in _CLAUSE_END.finditer(folded)]


def status_of(before: str, between: str, after: str, denies_itself: bool, is_sign: bool) -> Status:
    """Decide from the clause before the mention, its own middle, and the few characters after it.

    Args:
      denies_itself: 未见明显异常 holds its own denial.
      is_sign: a symptom or a lump, which 待查 leaves standing (发热待查, 肝占位待查).
    """
    considered = _AFFIRMED_BEFORE.search(before)
    breaks = [m.end() for m in _SCOPE_END.finditer(before)]
    scope = before[breaks[-1] :] if breaks else before
    doubted = _UNCERTAIN_BEFORE.search(scope) or _UNCERTAIN_BEFORE.search(between)
    denied = not denies_itself and (
        _NEGATED_BEFORE.search(scope)
        or re.search(r"不考虑[^见]*$", before)
        or _NEGATED_BETWEEN.search(between)
    )
    if denied and not doubted:
        return "negated"
    if _HISTORY_AFTER.match(after) or _HISTORY_BEFORE.search(before):
        return "history"
    if _UNCERTAIN_AFTER.match(after) and not (is_sign and _OPEN_CAUSE.match(after)):
        return "uncertain"
    if _NEGATED_AFTER.match(after):
        return "negated"
    if doubted or (_POSSIBLE_AFTER.match(after) and not considered):
        return "uncertain"
    return "affirmed"


_LESION = re.compile(
    r"结节|肿块|肿物|占位|病灶|低回声|低密度|高密度|斑片|钙化|增厚|增大|囊性|渗出|缺如|退化不全"
)


def describes_lesion(folded: str) -> bool:
    """True where some clause affirms a lesion, named as a disease or not: such a text is not 正常."""
    cuts = [0, *clause_starts(folded), len(folded)]
    clauses = [folded[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    return any(not _NEGATED_BEFORE.search(c[: m.start()]) for c in clauses for m in _LESION.finditer(c))
