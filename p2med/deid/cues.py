"""Words before and after a name: roles, labels, titles; longest first, or 护士长 is read as 护士 + 长."""

import re
from collections.abc import Iterable

from p2med.deid.words import words

# After a role a name may stand at once or after a colon, a blank or a bracket. The last part of a role is
# enough: 报告医师, 主治医师 and 带教医师 all end in 医师.
NO_NAMES = frozenset(words("no_name"))


def any_of(terms: Iterable[str]) -> str:
    """An alternation, longest first, that looks at each first character once."""
    by_first: dict[str, list[str]] = {}
    for term in sorted(set(terms), key=lambda w: (-len(w), w)):
        by_first.setdefault(term[0], []).append(re.escape(term[1:]))
    branches = [
        re.escape(c) + (f"(?:{'|'.join(rest)})" if rest != [""] else "") for c, rest in by_first.items()
    ]
    firsts = "".join(map(re.escape, by_first))
    return f"(?=[{firsts}])(?:{'|'.join(branches)})"


_FIRSTS = {w[0] for kind in ("pet_name_label", "name_label", "role") for w in words(kind)}
BEFORE_NAME = re.compile(
    rf"(?=[{''.join(map(re.escape, sorted(_FIRSTS)))}])(?:"
    rf"(?P<pet>{any_of(words('pet_name_label'))})(?P<pet_gap>[\s:就都也是叫为“\"(]{{0,5}})|"
    rf"(?P<label>{any_of(words('name_label'))})(?P<label_gap>[\s)】\]]{{0,4}}[:=】\]]\s{{0,6}}|\s{{1,6}}|[是为叫(]?)|"
    rf"(?P<role>{any_of(words('role'))})(?P<gap>[\s:(\[【「“\"'=/|—\-】\])是为叫系]{{0,4}}))"
)
LATIN_LABEL = re.compile(
    r"(?<![a-z])(?:patient(?:'s)?(?:\s?name)?|name|pt|dr|mr|mrs|ms|signed(?:\s?by)?|mother|father|parent|guardian|"
    r"拼音|护照名)[\s:.(=为是“\"]{0,4}"
)
TITLE = re.compile(any_of(words("title")))
PROFESSION = re.compile(
    r"(?:副?主任|主治|住院)?(?:主任|医师|医生|护师|护士长?|技师|药师)|大夫|副?教授|副?院长|(?:之[子女])"
)
# A family name alone is enough of a name before these.
TITLE_OF_SURNAME = re.compile(
    r"(?:总护士长|护士长|副?主任(?:医师|护师|技师)?|主治(?:医师)?|医[师生]|大夫|副?教授|副?院长|科长|所长|护[士师]|技师|药师|博士|老师|教练|园长|校长|"
    r"同学|先生|女士|小姐|太太|阿姨|叔叔|师傅|警官|经理|妈妈|爸爸|爷爷|奶奶|婆婆|大[爷妈姐嫂叔哥娘]|娃娃|总(?=[,，。:、；;])|书记|站长|局长|处长|警官|律师|法官|队长|秘书|干事|护工|[姐哥](?![姐哥夫妹弟])|工(?=\d|[,，。:、])|姓)(?!助)"
)
