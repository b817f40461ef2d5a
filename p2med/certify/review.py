"""The review queue: what was rejected because it was doubtful, for a person at the hospital to look at.

One HTML page without any address outside of itself. Texts are shown with every name and digit hidden, films
as the piece in question alone. It may show identity all the same: it stays where the key is.
"""

import base64
import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from p2med.certify.crops import crops
from p2med.deid.pseudonym import Pseudonyms
from p2med.files import write_text
from p2med.schema.identified import IdentifiedCase, IdentifiedRecord, IdentifiedSeries
from p2med.store import read_items, verb_folder

FILMS_SHOWN = 200
DOUBTFUL = (
    *("burned_in", "_left", "charset", "characters_lost", "another_patient", "two_patients"),
    *("_limit", "reader_"),
)
"""Parts of reasons: text in pixels or a value in a text, an identity in doubt, a file that broke a reader."""
_PAGE = """<!doctype html><html lang="zh"><meta charset="utf-8"><title>p2med review</title>
<style>body{{font:15px sans-serif;max-width:70em;margin:2em auto}}td,th{{border:1px solid #aaa;
padding:.3em .6em;vertical-align:top;text-align:left}}table{{border-collapse:collapse}}
img{{max-width:32em;border:1px solid #888}}
.warn{{background:#fee;padding:.6em}}</style>
<h1>复核队列 Review queue</h1>
<p class="warn">仅限院内使用：图像片段可能含有身份信息。
For the hospital only: the pieces of images may show identity.</p>
<p>{counts}</p><table><tr><th>类别 noun</th><th>编号 id</th><th>原因 reason</th><th>位置 where</th>
<th>内容 content</th><th>处理 decision</th></tr>
{rows}</table></html>
"""


@dataclass(frozen=True)
class Item:
    """A row of rejected.parquet. An id of ingest may be a path, which may hold a name: it is hidden."""

    noun: str
    id: str
    reason: str
    where: str


@dataclass(frozen=True)
class Source:
    """What deid refused, by the place of its case in 1_ingest, which holds no value."""

    where: str
    thing: IdentifiedSeries | IdentifiedRecord


def write_review(root: Path, names: Pseudonyms, path: Path) -> int:
    """Write the page; returns how many items it lists."""
    items = [i for verb in ("ingest", "deid") for i in _rejected(root, verb)]
    doubtful = [i for i in items if any(d in i.reason for d in DOUBTFUL)]
    sources = _sources(root, names)
    shown = 0
    rows = []
    for item in doubtful:
        source, content = sources.get(item.id), ""
        is_film = (
            source and isinstance(source.thing, IdentifiedSeries) and item.reason.startswith("burned_in")
        )
        if is_film and shown < FILMS_SHOWN:  # what broke a reader is not read again here
            shown += 1
            content = "".join(_image(c) for c in crops(source.thing.files, root))
        elif source and isinstance(source.thing, IdentifiedRecord):
            content = "<br>".join(html.escape(hidden(t)) for t in source.thing.sections.values())
        cells = (item.noun, item.id, item.reason, source.where if source else item.where)
        text = "".join(f"<td>{html.escape(c)}</td>" for c in cells)
        rows.append(f"<tr>{text}<td>{content}</td><td>□ 放行 pass □ 遮盖 mask □ 丢弃 drop</td></tr>")
    others = len(items) - len(doubtful)
    counts = (
        f"待复核 {len(doubtful)} 项；其余 {others} 项因其他原因被拒绝，见 rejected.parquet。 "
        f"{len(doubtful)} items wait; {others} were rejected for other reasons."
    )
    write_text(path, _PAGE.format(counts=html.escape(counts), rows="\n".join(rows)))
    return len(doubtful)


def _rejected(root: Path, verb: str) -> Iterator[Item]:
    file = verb_folder(root, verb) / "rejected.parquet"
    for n, row in enumerate(pq.read_table(file).to_pylist()):
        name = row["id"] if verb == "deid" else hidden(row["id"])
        yield Item(row["noun"], name, row["reason"], f"{file.parent.name}/rejected.parquet, row {n}")


def _sources(root: Path, names: Pseudonyms) -> dict[str, Source]:
    """Series and records of the run by the pseudonym that deid gives them."""
    found: dict[str, Source] = {}
    for n, case in enumerate(read_items(verb_folder(root, "ingest"), IdentifiedCase)):
        for k, series in enumerate(s for study in case.studies for s in study.series):
            found[names.uid(series.series_uid)] = Source(f"1_ingest, case {n}, series {k}", series)
        for k, record in enumerate(case.records):
            found[names.name("record", record.record_id)] = Source(f"1_ingest, case {n}, record {k}", record)
    return found


def hidden(text: str) -> str:
    """The text's shape: digits are 0, letters a, characters ■, but for the cues that say what stands there.

    Which character belongs to a name is what is in doubt, so none is shown.
    """
    shown = []
    for c in text:
        if c.isdigit():
            shown.append("0")
        elif c.isascii() and c.isalpha():
            shown.append("a")
        else:
            shown.append("■" if "\u4e00" <= c <= "\u9fff" else c)
    for cue in CUES:
        start = text.find(cue)
        while start >= 0:
            shown[start : start + len(cue)] = cue
            start = text.find(cue, start + 1)
    return "".join(shown)


CUES = (
    "患儿 姓名 父亲 母亲 家长 家属 联系人 监护人 电话 手机 住址 家住 身份证 病案号 住院号 门诊号 检查号 "
    "医师 医生 主任 护士 医院 幼儿园 小学 微信 邮箱 就诊 转入 签名 记录者"
).split()


def _image(png: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
