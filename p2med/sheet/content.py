"""The data sheet's chapters, from the manifests of a run alone: no other file, no text of a patient."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2med.errors import P2MedError
from p2med.schema.terms import RecordKind
from p2med.sheet.blocks import Bars, Cell, Part, Table, Text, Words, by_count
from p2med.sheet.words import (
    DROPPED,
    LEAKS,
    NOUNS,
    OUTCOMES,
    SEX,
    SPLITS,
    TASKS,
    UNKNOWN,
    VIEWS,
    disease,
    named,
)
from p2med.store import VERBS, Manifest, read_manifest, sha256_of, verb_folder

DATA_VERBS = ("ingest", "deid", "curate", "mix")
# The paper's Figure 7; d and e are the outpatient records before and after deduplication.
PANELS = {
    ("xray_report", "stage1"): "a",
    ("xray_report", "stage2"): "a",
    ("xray_report", "stage3"): "b",
    ("ct_report", "stage1"): "c",
    ("outpatient_record", "stage1"): "e",
    ("outpatient_record", "stage2"): "f",
    ("outpatient_record", "stage3"): "g",
    ("first_course_record", "stage2"): "h",
    ("attending_round_record", "stage2"): "i",
    ("chief_round_record", "stage2"): "j",
    ("first_course_record", "stage3"): "k",
    ("attending_round_record", "stage3"): "l",
    ("chief_round_record", "stage3"): "m",
}


def read_run(root: Path) -> dict[str, Manifest]:
    """The manifests of the data verbs that are finished in a run folder.

    Raises:
      P2MedError: none is.
    """
    found = {v: m for v in DATA_VERBS if (m := read_manifest(verb_folder(root, v))) is not None}
    if not found:
        raise P2MedError(f"{root} has no finished data verb; name a run folder such as runs/demo")
    return found


def chapters(root: Path) -> list[Part]:
    """Everything that the sheet says."""
    run = read_run(root)
    curate = run["curate"].notes if "curate" in run else {}
    mix = run["mix"].notes if "mix" in run else {}
    parts = [_steps(run)]
    if curate:
        parts += [_people(curate), _lengths(curate), _duplicates(curate), _splits(curate)]
    if mix:
        parts += [_stages(mix), _balance(mix), *_benchmark(mix), _histograms(mix, curate)]
    return [*parts, _hashes(root, run)]


# ---------------------------------------------------------------- the steps


def _steps(run: Mapping[str, Manifest]) -> Part:
    counts, reasons = [], []
    for verb, manifest in run.items():
        for noun, c in manifest.counts.items():
            counts.append((verb, named(NOUNS, noun), c.entered, c.passed, c.rejected))
        for noun, by_reason in manifest.rejected_reasons.items():
            for reason, n in sorted(by_reason.items(), key=lambda x: (-x[1], x[0])):
                reasons.append((verb, named(NOUNS, noun), reason, n))
    step, noun = ("步骤", "step"), ("对象", "noun")
    columns = (step, noun, ("输入", "in"), ("输出", "out"), ("剔除", "rejected"))
    why = Table(("剔除原因", "Why"), (step, noun, ("原因", "reason"), ("数量", "count")), reasons)
    blocks = [Table(("每一步：输入 = 输出 + 剔除", "At each step: in = out + rejected"), columns, counts)]
    return Part(("各步骤数量", "Counts at each step"), [*blocks, *([why] if reasons else [])])


def _people(curate: Mapping[str, Any]) -> Part:
    census = curate.get("census", {})
    sex = [(SEX.get(s, UNKNOWN), n) for s, n in sorted(census.get("sex", {}).items())]
    ages = [(a, n) for a, n in sorted(census.get("age_years", {}).items(), key=lambda x: int(x[0]))]
    if census.get("age_unknown"):
        ages.append((UNKNOWN, census["age_unknown"]))
    views = [(VIEWS[v], census.get("images", {})[v]) for v in VIEWS if v in census.get("images", {})]
    return Part(
        ("患儿与影像（论文图6）", "Children and images (the paper's Figure 6)"),
        [
            Bars(("a 性别（患儿）", "a sex (patients)"), sex),
            Bars(("b 年龄（岁，就诊）", "b age (years, visits)"), ages),
            Bars(("c 影像（序列）", "c images (series)"), views),
        ],
    )


def _lengths(curate: Mapping[str, Any]) -> Part:
    kinds = {k.value: (k.zh, k.en) for k in RecordKind}
    rows = [
        (kinds.get(kind, kind), t["records"], t["p50"], t["p90"], t["p99"], t["max"])
        for kind, t in curate.get("tokens", {}).items()
    ]
    columns = (("记录", "record"), ("数量", "records"), ("中位数", "median"))
    columns += (("90%", "90 %"), ("99%", "99 %"), ("最长", "longest"))
    title = ("每条记录的词元数（清洗前）", "Tokens of a record, before cleaning")
    return Part(("长度分布", "Lengths"), [Table(title, columns, rows)])


def _duplicates(curate: Mapping[str, Any]) -> Part:
    notes = curate.get("dedup")
    title: Words = ("近似重复的门诊病历", "Near-duplicate outpatient records")
    if not notes:
        return Part(title, [Text(("未去重。", "Not removed in this run."))])
    counts = [(named(OUTCOMES, name), n) for name, n in notes.items() if isinstance(n, int)]
    diseases = notes.get("diseases", {})
    rows = sorted(diseases.items(), key=lambda x: (-x[1]["kept"] - x[1]["removed"], x[0]))
    table = Table(
        ("按疾病（论文图7 d、e）", "By disease (the paper's Figure 7 d, e)"),
        (("疾病", "disease"), ("去重前", "before"), ("去重后", "after"), ("删除", "removed"), ("%", "%")),
        [
            (
                disease(d),
                n["kept"] + n["removed"],
                n["kept"],
                n["removed"],
                100 * n["removed"] / (n["kept"] + n["removed"]),
            )
            for d, n in rows[:40]
        ],
    )
    pairs = Text(("并排示例", "Pairs side by side"), "3_curate/duplicates.html")
    return Part(
        title,
        [Table(("结果", "Outcome"), (("类别", "what"), ("记录", "records")), counts), table, pairs],
    )


def _splits(curate: Mapping[str, Any]) -> Part:
    splits = [(named(SPLITS, s), curate["patients"].get(s, 0), n) for s, n in curate.get("cases", {}).items()]
    families = curate.get("families", {})
    gate = curate.get("leak_gate", {})
    facts: list[tuple[Cell, Cell]] = [
        (("患者编号", "patient numbers"), families.get("patients")),
        (("不同患儿", "children after joining studies and images"), families.get("identities")),
        (("家系（近似重复）", "families of near-duplicates"), families.get("families")),
        (("最大家系", "largest family"), families.get("largest_family")),
    ]
    for what in ("dropped_cases", "dropped_records"):
        for kind, n in families.get(what, {}).items():
            pairs = zip(DROPPED[what], named(LEAKS, kind.removeprefix("leak_")), strict=True)
            zh, en = (f"{a}: {b}" for a, b in pairs)
            facts.append(((zh, en), n))
    found = [(named(LEAKS, kind), n) for kind, n in gate.get("found", {}).items()]
    found.append((("报告模板共用率", "template rate"), gate.get("template_rate")))
    number = ("数量", "count")
    blocks = [
        Table(("划分", "Splits"), (("划分", "split"), ("患儿", "patients"), ("就诊", "visits")), splits),
        Table(("家系", "Families"), (("项目", "what"), number), facts),
        Table(
            ("泄漏闸门：留出与训练之间", "Leak gate: held out against training"),
            (("种类", "kind"), number),
            found,
        ),
    ]
    return Part(("划分与泄漏闸门", "Splits and the leak gate"), blocks)


# ---------------------------------------------------------------- the stages


def _in_order(mix: Mapping[str, Any]) -> dict[str, Any]:
    """The stages as they are trained; a manifest's keys are sorted."""
    return {s: mix["stages"][s] for s in mix.get("order", mix["stages"])}


def _stages(mix: Mapping[str, Any]) -> Part:
    stages = _in_order(mix)
    tasks = _tasks(stages)
    held = mix.get("held_out", {})
    rows: list[list[Cell]] = []
    for task in tasks:
        drawn = [stages[s][task]["drawn"] if task in stages[s] else None for s in stages]
        rows.append(
            [TASKS.get(task, task), *drawn, *(held.get(h, {}).get(task, 0) for h in ("val", "bench"))]
        )
    totals = [sum(n for r in rows if isinstance(n := r[k], int)) for k in range(1, len(stages) + 3)]
    columns = [("任务", "task"), *((s, s) for s in stages), ("验证", "val"), ("基准", "benchmark")]
    title = ("各阶段对话数（论文表V）", "Conversations of each stage (the paper's Table V)")
    return Part(("训练阶段", "Training stages"), [Table(title, columns, [*rows, [("合计", "sum"), *totals]])])


def _tasks(stages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    there = {t for tasks in stages.values() for t in tasks}
    return [*(t for t in TASKS if t in there), *sorted(there - TASKS.keys())]


def _balance(mix: Mapping[str, Any]) -> Part:
    rows = []
    for stage, tasks in _in_order(mix).items():
        for task in (t for t in _tasks(mix["stages"]) if t in tasks):
            n = tasks[task]
            before, after = n.get("imbalance", {}), n.get("effective", {})
            rows.append(
                (stage, TASKS.get(task, task), n["made"], n["drawn"], n.get("eligible"))
                + (before.get("before"), before.get("after"), after.get("before"), after.get("after"))
            )
    columns = (
        ("阶段", "stage"),
        ("任务", "task"),
        ("可用", "made"),
        ("抽取", "drawn"),
        ("入选疾病", "eligible"),
    )
    columns += (("失衡 前", "imbalance before"), ("失衡 后", "after"))
    columns += (("有效疾病数 前", "effective diseases before"), ("后", "after"))
    what: Words = (
        "失衡：入选疾病中最多者与最少者之比；有效疾病数：熵的指数。",
        "Imbalance: the commonest eligible disease over the rarest. Effective diseases: exp(entropy).",
    )
    return Part(
        ("疾病均衡", "Balance of diseases"),
        [Table(("抽样前后", "Before and after"), columns, rows), Text(what)],
    )


def _benchmark(mix: Mapping[str, Any]) -> list[Part]:
    notes = mix.get("benchmark")
    if not notes:
        return []
    rows = []
    for task in (t for t in TASKS if t in notes):
        n = notes[task]
        short = n["short"]["single"] + n["short"]["rounds"]
        review = ", ".join(f"{v} {k}" for k, v in n["review"].items())
        rows.append(
            (TASKS[task], n["candidates"], n["single"], n["rounds"] - n["single"], n["rounds"], short)
            + (n["diseases_wanted"], len(n["diseases"]), review)
        )
    columns = (("任务", "task"), ("候选", "candidates"), ("单次", "single"), ("多次中", "in rounds"))
    columns += (("合计", "items"), ("缺", "short"), ("目标疾病", "diseases wanted"), ("覆盖", "covered"))
    title = ("条目（论文：121/121/4×100，共642）", "Items (the paper: 121/121/4 x 100, 642 in all)")
    return [Part(("P2Med-MBench", "P2Med-MBench"), [Table(title, (*columns, ("审阅", "review")), rows)])]


def _histograms(mix: Mapping[str, Any], curate: Mapping[str, Any]) -> Part:
    bars = []
    before = (curate.get("dedup") or {}).get("diseases")
    if before:
        raw = {d: n["kept"] + n["removed"] for d, n in before.items()}
        bars.append(_diseases(("d 门诊病历 · 去重前", "d Outpatient record · before deduplication"), raw))
    for task in _tasks(mix["stages"]):
        for stage, tasks in _in_order(mix).items():
            if tasks.get(task, {}).get("diseases"):
                panel = PANELS.get((task, stage), "")
                zh, en = TASKS.get(task, (task, task))
                title = (f"{panel} {zh} · {stage}".strip(), f"{panel} {en} · {stage}".strip())
                bars.append(_diseases(title, tasks[task]["diseases"]))
    return Part(("疾病分布（论文图7）", "Diseases (the paper's Figure 7)"), bars)


def _diseases(title: Words, counts: Mapping[str, int]) -> Bars:
    bars = by_count(title, counts)
    return bars._replace(items=[(disease(str(label)), n) for label, n in bars.items])


def _hashes(root: Path, run: Mapping[str, Manifest]) -> Part:
    rows = []
    for verb, m in run.items():
        digest = sha256_of(verb_folder(root, verb) / "manifest.json")
        rows.append((f"{VERBS.index(verb)}_{verb}", m.version, m.code, len(m.files), digest))
    columns = (("步骤", "step"), ("版本", "version"), ("代码", "code"), ("文件", "files"))
    words: Words = (
        "清单含每个文件的SHA-256；同一配方与种子在另一台机器上给出相同的值。",
        "A manifest holds the SHA-256 of every file; the same recipe and seed give the same ones elsewhere.",
    )
    table = Table(("清单", "Manifests"), (*columns, ("manifest.json SHA-256", "manifest.json SHA-256")), rows)
    return Part(("校验", "Hashes"), [table, Text(words)])
