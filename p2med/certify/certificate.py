"""What a certificate says: figures, what was not tested, versions and hashes; no value of anybody."""

import platform
from collections import Counter
from importlib.metadata import version

from p2med import __version__
from p2med.certify.bounds import lower_bound
from p2med.certify.canary import KINDS
from p2med.certify.linkage import Linkage
from p2med.certify.plan import Plan
from p2med.certify.residual import ResidualScan
from p2med.certify.search import SPELLINGS
from p2med.deid.pseudonym import Pseudonyms
from p2med.schema.base import Frozen

PLACES = {"text": "文本", "table": "表格栏目", "header": "DICOM 头", "pixels": "图像像素"}
FOLDER = "deid folder: "
"""Before the place of what went through `p2med deid folder` instead of the verb."""
LIBRARIES = ("pydicom", "numpy", "pyarrow", "scipy", "pillow", "pydantic")
NOT_TESTED = (
    (
        "Reading the hospital's own export files: the copy is made of what ingest had read. A column that "
        "the recipe does not map is neither searched for nor planted.",
        "医院原始导出文件的读取：副本由已导入的内容生成；配方未映射的栏目既不检索也不植入。",
    ),
    (
        "Handwriting, Chinese characters drawn into pixels, and text along a curve: the drawn lines are "
        "letters and digits in one font, set 9 pixels or larger.",
        "手写字、图像内的汉字及弯曲文字：植入图像的文字为同一字体的拼音与数字，字号不小于 9 像素。",
    ),
    (
        "Faces: a head in a CT volume can be reconstructed. Pixels outside of text are not judged.",
        "面部重建：含头部的 CT 可被重建；除文字外不评估像素。",
    ),
    (
        "Nicknames, misspelled names, and descriptions that point at a child without naming it.",
        "昵称、错写的姓名，以及不点名却能指认患儿的描述。",
    ),
    (
        "Pictures that are not DICOM (PNG, JPEG) and videos.",
        "非 DICOM 图片（PNG、JPEG）与视频。",
    ),
    (
        "The sentences are invented: other wording can do worse; a bound holds for wording like theirs.",
        "植入语句为人工编写，其他写法的结果可能更差；置信下限仅适用于同类写法。",
    ),
    (
        "Models that are trained on the output: what they memorise is tested elsewhere.",
        "用输出数据训练的模型：其记忆风险另行评估。",
    ),
)


class ClassRow(Frozen):
    """One class of canaries in one place. `searched` = planted - withheld; recall is of these."""

    place: str
    kind: str
    zh: str
    known: bool
    """The tables or headers hold the value for the same patient."""
    planted: int
    withheld: int
    searched: int
    leaked: int
    recall: float | None
    lower_95: float | None


class Damage(Frozen):
    """What was planted without any identity and should have stayed."""

    clinical_terms: int
    clinical_terms_kept: int
    frame_characters: int
    frame_characters_lost: int


class Dates(Frozen):
    planted: int
    moved_by_the_record_s_offset: int
    patients: int
    patients_with_two_offsets: int


class Searched(Frozen):
    files: int
    bytes: int
    texts: int
    spellings: str = SPELLINGS


class Certificate(Frozen):
    run: str
    key_id: str
    seed: int
    patients: int
    records: int
    dicom_files: int
    blocked: str | None
    """The reason when deid's own last search stopped the run on the copy; nothing would have gone out."""
    classes: tuple[ClassRow, ...]
    planted: int
    leaked: int
    leaks: dict[str, int]
    damage: Damage
    dates: Dates
    searched: Searched
    not_copied: dict[str, int]
    residual: ResidualScan
    linkage: Linkage
    not_tested: tuple[dict[str, str], ...]
    deid_section: dict[str, object]
    versions: dict[str, str]
    code: dict[str, str]
    manifests: dict[str, str]
    """sha256 of the manifests of the run."""

    @property
    def clean(self) -> bool:
        """Nothing planted and nobody's own value was found. It is no proof that nothing is there."""
        return self.leaked == 0 and not any(k.found for k in self.residual.kinds) and self.blocked is None


def key_id(key: bytes) -> str:
    """A name of the key from which the key cannot be got; `deid folder` writes the same into its report."""
    return Pseudonyms(key).digest("key", "id").hex()[:16]


def versions() -> dict[str, str]:
    found = {"p2med": __version__, "python": platform.python_version()}
    return found | {name: version(name) for name in LIBRARIES}


def class_rows(plan: Plan, outcome: dict[int, str], before: str = "") -> tuple[ClassRow, ...]:
    """Rows in the order of PLACES and KINDS; `before` is put before the place."""
    counts: Counter[tuple[str, str, bool, str]] = Counter()
    for number, end in outcome.items():
        canary = plan.canaries[number]
        counts[canary.place, canary.kind, canary.known, end] += 1
    rows = []
    for place in PLACES:
        for kind in KINDS:
            for known in (True, False):
                n = {o: counts[place, kind, known, o] for o in ("removed", "leaked", "withheld")}
                if any(n.values()):
                    rows.append(_row(before + place, kind, known, n))
    return tuple(rows)


def _row(place: str, kind: str, known: bool, n: dict[str, int]) -> ClassRow:
    searched = n["removed"] + n["leaked"]
    bound = lower_bound(n["removed"], searched)
    return ClassRow(
        place=place,
        kind=kind,
        zh=KINDS[kind],
        known=known,
        planted=sum(n.values()),
        withheld=n["withheld"],
        searched=searched,
        leaked=n["leaked"],
        recall=round(n["removed"] / searched, 6) if searched else None,
        lower_95=None if bound is None else round(bound, 6),
    )
