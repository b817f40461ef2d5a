"""The certificate as a PDF, Chinese and English, to be read and signed.

The Chinese font is one of Adobe's that PDF readers bring along (STSong-Light), so no font file is needed.
The same certificate has the same bytes.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from p2med.certify.certificate import FOLDER, PLACES, Certificate
from p2med.files import write_bytes

FONT = "STSong-Light"
TEXT = ParagraphStyle("text", fontName=FONT, fontSize=9, leading=13, wordWrap="CJK")
SMALL = ParagraphStyle("small", parent=TEXT, fontSize=7.5, leading=10)
HEADING = ParagraphStyle("heading", parent=TEXT, fontSize=12, leading=18, spaceBefore=8, spaceAfter=3)
TITLE = ParagraphStyle("title", parent=TEXT, fontSize=17, leading=26)
WIDTH = A4[0] - 36 * mm
RESIDUAL_ZH = {
    "name": "姓名", "pinyin": "拼音", "number": "号码", "phone": "电话", "address": "住址",
    "uid": "DICOM UID",
}  # fmt: skip


def write_pdf(certificate: Certificate, digest: str, path: Path) -> None:
    """Write the certificate; `digest` is the sha256 of its JSON form."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    out = BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=16 * mm,
        bottomMargin=16 * mm,
        title="p2med deid certify",
        invariant=1,
    )
    parts = (_summary, _classes, _damage, _residual, _linkage, _not_tested, _provenance)
    story = [flowable for part in parts for flowable in part(certificate)]
    story += _signature(digest)
    document.build(story, onFirstPage=_page_number, onLaterPages=_page_number)
    write_bytes(path, out.getvalue())


def _page_number(canvas, document) -> None:
    canvas.setFont(FONT, 8)
    canvas.drawRightString(A4[0] - 18 * mm, 9 * mm, f"{document.page}")


def _p(text: str, style: ParagraphStyle = TEXT) -> Paragraph:
    return Paragraph(escape(text).replace("\n", "<br/>"), style)


def _table(rows: Sequence[Sequence[str]], widths: Sequence[float], red: Sequence[int] = ()) -> Table:
    """Rows of text, the first a heading; `red` rows stand out. `widths` are shares of the page."""
    cells = [[_p(c, SMALL) for c in row] for row in rows]
    style = [
        ("GRID", (0, 0), (-1, -1), 0.3, colors.grey),
        ("BACKGROUND", (0, 0), (-1, 0), colors.Color(0.9, 0.93, 0.97)),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
    style += [("BACKGROUND", (0, n), (-1, n), colors.Color(1, 0.85, 0.85)) for n in red]
    table = Table(cells, colWidths=[w * WIDTH for w in widths], repeatRows=1)
    table.setStyle(TableStyle(style))
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"


def _summary(c: Certificate) -> list[Flowable]:
    found = sum(k.found for k in c.residual.kinds)
    if c.clean:
        zh = "植入值与本次运行患者的真实值均未在输出中检出。此结果不等于证明输出不含身份信息。"
        en = "No planted value and no value of a patient of the run was found. That is no proof."
    else:
        zh = f"检出：植入值泄漏 {c.leaked} 个，真实值 {found} 个。处理之前输出不得使用。"
        en = f"Found: {c.leaked} planted values and {found} real ones. The output must not be used as it is."
    lines = [
        _p("去标识化检验证书  De-identification certificate", TITLE),
        _p(f"运行 Run: {c.run}　　密钥编号 Key id: {c.key_id}　　种子 Seed: {c.seed}"),
        _p(
            f"副本 Copy: {c.patients} 名患者 patients, {c.records} 份记录 records, "
            f"{c.dicom_files} 个 DICOM 文件 files; 植入 planted {c.planted}, 泄漏 leaked {c.leaked}"
        ),
        Spacer(1, 2 * mm),
        _p(zh),
        _p(en),
    ]
    if c.blocked:
        lines.append(_p(f"去标识化的末次检索拦截了副本 deid's last search stopped the copy: {c.blocked}"))
    return lines


def _classes(c: Certificate) -> list[Flowable]:
    rows = [
        "位置\nplace|类别\nclass|已知\nknown|植入\nplanted|未放行\nwithheld|检索\nsearched|泄漏\nleaked|"
        "召回率\nrecall|95 % 下限\nbound".split("|"),
    ]
    for r in c.classes:
        kind = f"{r.zh} {r.kind.replace('_', ' ')}"
        place = f"{PLACES[r.place.removeprefix(FOLDER)]} {r.place}"
        counts = [str(n) for n in (r.planted, r.withheld, r.searched, r.leaked)]
        rows.append(
            [place, kind, "是 yes" if r.known else "否 no", *counts, _percent(r.recall), _percent(r.lower_95)]
        )
    red = [n for n, r in enumerate(c.classes, 1) if r.leaked]
    s = c.searched
    return [
        _p("一、召回率  Recall by class", HEADING),
        _p(
            "已知：该患者的表格或 DICOM 头中有此值。未放行：所在记录或图像被拒绝。"
            "下限：Clopper–Pearson 单侧 95 %。",
            SMALL,
        ),
        _p(
            "Known: the patient's own tables or headers hold the value. Columns: planted, withheld (its "
            "record or image did not pass), searched, leaked. Bound: exact (Clopper-Pearson), one-sided.",
            SMALL,
        ),
        _table(rows, (0.155, 0.215, 0.085, 0.09, 0.095, 0.1, 0.08, 0.09, 0.09), red),
        _p(
            f"检索 Searched: {s.files} 个文件 files, {s.bytes:,} 字节 bytes (解压后 decompressed), "
            f"{s.texts} 段文本 texts. {s.spellings}.",
            SMALL,
        ),
    ]


def _damage(c: Certificate) -> list[Flowable]:
    d, t = c.damage, c.dates
    kept = _percent(d.clinical_terms_kept / d.clinical_terms if d.clinical_terms else None)
    lost = _percent(d.frame_characters_lost / d.frame_characters if d.frame_characters else None)
    terms = f"{d.clinical_terms_kept} / {d.clinical_terms} = {kept}"
    characters = f"{d.frame_characters_lost} / {d.frame_characters} = {lost}"
    dates = f"{t.moved_by_the_record_s_offset} / {t.planted}"
    rows = [
        ["项目 Item", "结果 Result"],
        ["临床术语保留 Clinical terms kept (eponyms, drugs, values)", terms],
        ["语句中非身份字符丢失 Other characters lost", characters],
        ["文本日期按患者偏移 Dates in texts moved as the record", dates],
        ["偏移不一致的患者 Patients with two offsets", f"{t.patients_with_two_offsets} / {t.patients}"],
    ]
    return [_p("二、临床内容的损失与日期  Damage and dates", HEADING), _table(rows, (0.65, 0.35))]


def _residual(c: Certificate) -> list[Flowable]:
    rows = [["类别 Kind", "检索的真实值 Searched", "过短未检索 Too short", "检出 Found"]]
    for k in c.residual.kinds:
        rows.append([f"{RESIDUAL_ZH[k.kind]} {k.kind}", str(k.searched), str(k.too_short), str(k.found)])
    red = [n for n, k in enumerate(c.residual.kinds, 1) if k.found]
    where = "; ".join(c.residual.files_with_finds)
    return [
        _p("三、本次运行输出的残留检索  Residual scan of the run itself", HEADING),
        _p(
            f"{', '.join(c.residual.folders)}: {c.residual.files} 个文件 files, "
            f"{c.residual.bytes:,} 字节 bytes, "
            f"{c.residual.texts} 段文本 texts. 二字姓名等短值只在去标识化时于同一患者的文本中检索。 "
            "Two-character names are searched by deid alone, in the texts of the same patient.",
            SMALL,
        ),
        _table(rows, (0.3, 0.25, 0.25, 0.2), red),
        *([_p(f"检出文件 Files: {where}", SMALL)] if where else []),
    ]


def _linkage(c: Certificate) -> list[Flowable]:
    rows = [
        [
            "若他人已知 If one knows",
            "患者 Patients",
            "最小 k",
            "唯一 Alone (k=1)",
            "k<5",
            "平均风险 Mean 1/k",
        ],
    ]
    for g in c.linkage.groups:
        counts = [str(n) for n in (g.patients, g.smallest_k, g.alone, g.below_5)]
        rows.append([f"{g.zh} {g.facts}", *counts, _percent(g.mean_risk)])
    known = c.linkage.diagnoses
    rare = (
        f"诊断 {known} 种，其中少于 5 名患者的 {c.linkage.rare_diagnoses} 种，涉及 "
        f"{c.linkage.patients_with_rare_diagnosis} 名患者。 "
        f"Of {known} diagnoses {c.linkage.rare_diagnoses} are of fewer than 5 patients; "
        f"{c.linkage.patients_with_rare_diagnosis} patients have one."
        if known
        else "尚未标注诊断，请先运行 curate。 Diagnoses are not labelled yet; run curate before certify."
    )
    return [
        _p("四、关联风险  Linkage risk (k-anonymity)", HEADING),
        _table(rows, (0.4, 0.12, 0.1, 0.14, 0.1, 0.14)),
        _p(rare, SMALL),
        _p(
            "日期整体平移保留间隔：知道就诊间隔的人可据此比对。 "
            "Shifted dates keep their intervals: who knows them can compare.",
            SMALL,
        ),
    ]


def _not_tested(c: Certificate) -> list[Flowable]:
    lines = [_p(f"{n}. {x['zh']} {x['en']}", SMALL) for n, x in enumerate(c.not_tested, 1)]
    if c.not_copied:
        counts = ", ".join(f"{k} {v}" for k, v in sorted(c.not_copied.items()))
        lines.append(_p(f"未能植入的文件 Files that could not be planted: {counts}", SMALL))
    return [_p("五、未检验的内容  Not tested", HEADING), *lines]


def _provenance(c: Certificate) -> list[Flowable]:
    rows = [["项目 Item", "值 Value"]]
    rows += [[f"版本 version: {k}", v] for k, v in c.versions.items()]
    rows += [[f"代码摘要 code digest: {k}", v] for k, v in c.code.items()]
    rows += [[f"清单 manifest sha256: {k}", v] for k, v in c.manifests.items()]
    rows += [[f"deid.{k}", str(v)] for k, v in c.deid_section.items()]
    return [_p("六、版本与摘要  Versions and hashes", HEADING), _table(rows, (0.38, 0.62))]


def _signature(digest: str) -> list[Flowable]:
    line = "＿＿＿＿＿＿＿＿＿＿＿＿"
    return [
        Spacer(1, 5 * mm),
        _p(f"certificate.json sha256: {digest}", SMALL),
        Spacer(1, 6 * mm),
        _p(f"隐私负责人 Privacy officer: {line}　　日期 Date: {line}"),
    ]
