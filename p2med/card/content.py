"""A model card's chapters in Chinese and English, from the facts alone."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import get_args

import yaml

from p2med.card.config import Use
from p2med.card.facts import Facts
from p2med.card.ledger import INVENTED, UNKNOWN, Part
from p2med.sheet.blocks import Block, Cell, Table, Text, Words
from p2med.sheet.blocks import Part as Chapter

SMALL = 1_000_000_000
"""Below so many parameters a model proves the software; the paper's has 8 billion."""
SHOWN = ("accuracy", "comprehensiveness", "disease_f1", "finding_f1")
"""Metrics of the card's table, under every condition; model_card.json has all of them."""
USES: dict[Use, Words] = {
    "research": ("项目内研究", "research inside the project"),
    "clinical": ("临床使用（医务人员看到其输出）", "clinical (those who treat patients see its answers)"),
    "commercial": ("商业使用", "commercial"),
    "redistribute": ("分发权重", "giving the weights to others"),
}


def words(name: str, **values: object) -> Words:
    """A text of words.yaml with its gaps filled."""
    zh, en = _words()[name]
    return zh.format(**values), en.format(**values)


@cache
def _words() -> dict[str, list[str]]:
    return yaml.safe_load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"))


def _columns(*names: str) -> tuple[Words, ...]:
    """`名称|title` -> the heading in both languages."""
    return tuple((zh, en or zh) for zh, _, en in (name.partition("|") for name in names))


def warnings(facts: Facts) -> list[Words]:
    """What a reader must know before anything else."""
    gate = facts["gate"]
    holds = {
        "invented": any(INVENTED in p.licences for p in facts["licences"]),
        "tiny": 0 < sum(facts["checkpoint"]["parameters"].values()) < SMALL,
        "no_study": True,
        "gate_failed": gate is not None and not all(c["passed"] for c in gate["conditions"]),
    }
    return [words(name) for name, true in holds.items() if true]


def chapters(facts: Facts) -> list[Chapter]:
    """The card, chapter by chapter."""
    return [
        Chapter(("请先阅读", "Read this first"), [Text(w) for w in warnings(facts)]),
        _model(facts),
        _uses(facts),
        _parts(facts["licences"]),
        _data(facts),
        _stages(facts["stages"]),
        _scores(facts["scores"]),
        _gate(facts["gate"]),
        _limits(facts),
    ]


# ---------------------------------------------------------------- what it is


def _model(facts: Facts) -> Chapter:
    shape, parameters = facts["shape"], facts["checkpoint"]["parameters"]
    rows: list[tuple[Cell, Cell]] = [
        (("语言模型", "language model"), ", ".join(f"{k} {v}" for k, v in shape["llm"].items()))
    ]
    kinds = {
        "encoder": "影像编码器|image encoder",
        "connector": "连接器|connector",
        "adapter": "适配器|adapter",
    }
    for part, name in kinds.items():
        options = ", ".join(f"{k} {v}" for k, v in (shape[part] or {}).items() if k != "kind")
        rows.append((_columns(name)[0], f"{shape[part]['kind']}, {options}" if shape[part] else None))
    rows.append((("影像边长", "side of an image"), f"{facts['image']['size']} px"))
    rows += [((f"参数：{part}", f"parameters of {part}"), n) for part, n in parameters.items()]
    rows.append((("参数总数", "parameters in all"), sum(parameters.values()) or None))
    rows.append(("digests.json sha256", facts["checkpoint"]["digests_sha256"]))
    about = words("about", run=facts["name"], checkpoint=facts["checkpoint"]["name"])
    table = Table(("构成", "Shape"), _columns("项目|what", "值|value"), rows)
    return Chapter(("模型", "The model"), [Text(about), table])


def _uses(facts: Facts) -> Chapter:
    rows, parts = [], facts["licences"]
    for use in get_args(Use):
        reasons = [why for p in parts if (why := p.refusal(use))]
        asked = [f"{p.part}: {p.asks[use]}" for p in parts if use in p.asks]
        verdict: Words = ("不允许", "refused") if reasons else ("许可证允许", "licences allow it")
        stated: Cell = ("是", "yes") if use in facts["use"] else None
        rows.append((USES[use], stated, verdict, "; ".join(dict.fromkeys(reasons or asked)) or None))
    columns = _columns(
        "用途|use", "训练时声明|stated for training", "结论|verdict", "原因或条件|why, or on which terms"
    )
    table = Table(("用途与许可", "Uses and licences"), columns, rows)
    return Chapter(("用途", "Uses"), [Text(words("intended")), Text(words("never")), table])


def _parts(parts: Sequence[Part]) -> Chapter:
    rows = [
        (
            p.part,
            p.title,
            " + ".join(p.licences) or ("许可证未知", UNKNOWN),
            "; ".join(f"{use}: {clause}" for use, clause in p.forbids.items()) or None,
            "; ".join(f"{use}: {by}" for use, by in p.permits.items()) or None,
            p.known_by or None,
            p.source or None,
        )
        for p in parts
    ]
    columns = _columns(
        "部件|part",
        "名称|title",
        "许可证|licence",
        "禁止|forbids",
        "另行许可|permitted by",
        "依据|known by",
        "来源|source",
    )
    table = Table(("权重与数据", "Weights and data"), columns, rows)
    return Chapter(("部件与许可证", "Parts and licences"), [table])


# ---------------------------------------------------------------- what it learned from


def _data(facts: Facts) -> Chapter:
    data = facts["data"]
    hashes = [(verb, d["manifest_sha256"]) for verb, d in data.items()]
    counts = [
        (verb, noun, c["entered"], c["passed"], c["rejected"])
        for verb, d in data.items()
        if verb != "train"
        for noun, c in d["counts"].items()
    ]
    blocks: list[Block] = [
        Table(("清单", "Manifests"), _columns("步骤|step", "sha256"), hashes),
        Table(
            ("数量", "Counts"),
            _columns("步骤|step", "对象|noun", "输入|in", "输出|out", "剔除|rejected"),
            counts,
        ),
    ]
    for splits in (d["splits"] for d in data.values() if d["splits"]):
        rows = [(s, n, splits["visits"].get(s, 0)) for s, n in splits["patients"].items()]
        title: Words = ("按患儿划分", "Split by patient")
        blocks.append(Table(title, _columns("划分|split", "患儿|patients", "就诊|visits"), rows))
    certificate = facts["certificate"]
    if certificate is None:
        said = words("no_certificate")
    else:
        said = words("certificate" if certificate["of_this_run"] else "certificate_old", **certificate)
    return Chapter(("数据", "Data"), [*(blocks if data else [Text(words("no_manifests"))]), Text(said)])


def _stages(stages: Sequence[Facts]) -> Chapter:
    settings, outcome, drawn = [], [], []
    for s in stages:
        of = s["settings"] or {}
        length = f"{of['epochs']:g} epochs" if of.get("epochs") else f"{of.get('steps')} steps"
        rate = f"{of['lr']:g}" if of else None
        learns, objective = ", ".join(of.get("learn", [])), of.get("objective")
        settings.append(
            (s["stage"], learns or None, objective, rate, length if of else None, of.get("batch_size"))
        )
        passed = (s["conversations"] or {}).get("passed")
        made_on = f"{s['device']} x {s['ranks']}" if s["device"] else None
        outcome.append((
            s["stage"], passed, s["steps"], s["skipped_steps"], s["tokens"], s["loss_begin"], s["loss_end"],
            made_on, s["digests_sha256"],
        ))  # fmt: skip
        drawn += [(s["stage"], task, n) for task, n in s["drawn"].items()]
    of_settings = _columns(
        "阶段|stage", "学习部分|learns", "目标|objective", "学习率|lr", "长度|length", "批大小|batch"
    )
    of_outcome = _columns(
        "阶段|stage", "对话|conversations", "步|steps", "跳过|skipped", "词元|tokens", "初始损失|loss, begin",
        "最终损失|loss, end", "设备|device", "sha256",
    )  # fmt: skip
    of_drawn = _columns("阶段|stage", "任务|task", "抽取次数|drawn")
    return Chapter(
        ("训练", "Training"),
        [
            Table(("设置", "Settings"), of_settings, settings),
            Table(("结果", "Outcome"), of_outcome, outcome),
            Table(("各任务抽取的对话", "Conversations drawn by task"), of_drawn, drawn),
        ],
    )


# ---------------------------------------------------------------- how good it is


def _scores(scores: Sequence[Facts] | None) -> Chapter:
    title: Words = ("评测", "Benchmark")
    if scores is None:
        return Chapter(title, [Text(words("no_scores"))])
    rows = [
        (r["task"], r["component"], r["metric"], r["condition"], r["n"], r["unrated"], _interval(r, "mean"))
        for r in scores
        if r["metric"] in SHOWN
    ]
    columns = _columns(
        "任务|task",
        "部分|component",
        "指标|metric",
        "条件|condition",
        "n",
        "未评|not rated",
        "均值 [95%]|mean [95 %]",
    )
    return Chapter(title, [Text(words("scores")), Table(("分数", "Scores"), columns, rows)])


def _interval(row: Facts, of: str) -> str | None:
    """`0.812 [0.790, 0.834]`."""
    low, high = (row.get(k) if k in row else row.get(f"ci95_{k}") for k in ("low", "high"))
    if row[of] is None:
        return None
    return f"{row[of]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")


def _gate(gate: Facts | None) -> Chapter:
    title: Words = ("影像依赖性检验", "Image-dependence gate")
    if gate is None:
        return Chapter(title, [Text(words("no_gate"))])
    rows = []
    for c in gate["conditions"]:
        verdict: Words = ("通过", "passes") if c["passed"] else ("未通过", "FAILS")
        if c["gain"] is None:
            verdict = ("样本太少", "too few pairs")
        rows.append((c["name"], c["pairs"], _interval(c, "gain"), verdict))
    columns = _columns("条件|condition", "对数|pairs", "F1 增益 [95%]|gain in F1 [95 %]", "结论|verdict")
    return Chapter(title, [Table(("条件", "Conditions"), columns, rows)])


def _limits(facts: Facts) -> Chapter:
    said = [words("other_hospitals"), words("fluent"), words("no_advice")]
    skipped = sum(s["skipped_steps"] or 0 for s in facts["stages"])
    if skipped:
        said.append(words("skipped", n=skipped))
    return Chapter(("局限", "Limits"), [Text(w) for w in said])
