"""The plan as a person reads it, in English or Chinese, and as JSON."""

from typing import Any

from p2med.plan.devices import GIB, Device
from p2med.plan.knobs import SHARE, Advice, fits
from p2med.plan.run import StagePlan

WORDS = {
    "part": ("part", "部分"),
    "parameters": ("parameters", "参数"),
    "learned": ("learned", "学习"),
    "memory": ("memory at its peak, GiB", "内存峰值（GiB）"),
    "weights": ("weights", "权重"),
    "gradients": ("gradients", "梯度"),
    "optimizer": ("optimizer", "优化器"),
    "activations": ("activations", "前向保留的中间量"),
    "backward": ("in the middle of backward", "反向传播的中间量"),
    "logits": ("logits, a chunk", "词表输出（一块）"),
    "features": ("images and their features", "影像及其特征"),
    "building": ("more, while the model is built", "建立模型时另需"),
    "base": ("Python, libraries, device", "Python、库与设备"),
    "allocator": ("the allocator's holes", "分配器的空隙"),
    "kernels": ("compiled kernels", "编译的算子"),
    "sum": ("sum", "合计"),
    "total": ("all", "合计"),
    "disk": ("disk, GiB", "磁盘（GiB）"),
    "checkpoint": ("checkpoint", "检查点"),
    "resume": ("to resume from, while it runs", "续训所需（训练期间）"),
    "images": ("prepared images", "处理好的影像"),
}
SOURCES = {
    "mix": ("from the run's mix", "来自本次运行的 mix"),
    "paper": ("no mix yet: the paper's counts and lengths", "尚无 mix：用论文的数量与长度"),
}
ORDER = ("weights", "optimizer", "gradients", "activations", "backward", "logits", "features", "building")
ORDER += ("kernels", "allocator", "base")


def text(plans: list[StagePlan], device: Device, advice: dict[str, Advice], zh: bool) -> str:
    """One device's plan."""
    rows = [f"{device.name}: {device.words}, {device.memory / GIB:.0f} GiB"]
    rows.append(_sentence(zh, "measured" if device.flops_per_s is None else "unmeasured"))
    for plan in plans:
        rows += ["", *_stage(plan, zh)]
        if fits(plan, device):
            rows.append(("  fits" if not zh else "  放得下") + f" ({plan.peak / GIB:.2f} GiB)")
        else:
            rows += _advice(plan, device, advice[plan.stage], zh)
    total = sum(p.total_seconds for p in plans)
    rows += ["", f"{'all stages' if not zh else '全部阶段'}: {_duration(total, zh)}"]
    return "\n".join(rows)


def record(plans: list[StagePlan], device: Device, advice: dict[str, Advice]) -> dict[str, Any]:
    """The same as JSON; bytes and seconds."""
    return {
        "device": device.name,
        "memory_bytes": device.memory,
        "measured": device.flops_per_s is None,
        "stages": [_stage_record(p, device, advice.get(p.stage)) for p in plans],
        "seconds": sum(p.total_seconds for p in plans),
    }


def _stage_record(plan: StagePlan, device: Device, advice: Advice | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "stage": plan.stage,
        "parts": [vars(p) for p in plan.parts],
        "data": plan.source,
        "conversations": plan.conversations,
        "steps": plan.steps,
        "greatest_pass": {"tokens": plan.greatest.tokens, "slices": plan.greatest.slices},
        "peak_bytes": plan.peak,
        "memory": plan.memory,
        "fits": fits(plan, device),
        "step_seconds": plan.seconds,
        "seconds": plan.total_seconds,
        "disk": plan.disk,
    }
    if advice:
        found["advice"] = {
            "settings": [k.setting for k in advice.knobs],
            "en": [k.words_en for k in advice.knobs],
            "zh": [k.words_zh for k in advice.knobs],
            "peak_bytes": advice.peak,
            "fits": advice.fits,
        }
    return found


def _stage(plan: StagePlan, zh: bool) -> list[str]:
    def word(key: str) -> str:
        return WORDS[key][zh]

    source = SOURCES[plan.source][zh]
    great = plan.greatest
    if zh:
        rows = [f"{plan.stage}：{plan.conversations:,} 个对话（{source}），{plan.steps:,} 步"]
        rows.append(f"  最大的一次前向：{great.tokens:,} 个 token，{great.slices:,} 层影像")
    else:
        rows = [f"{plan.stage}: {plan.conversations:,} conversations ({source}), {plan.steps:,} steps"]
        rows.append(f"  greatest pass: {great.tokens:,} tokens, {great.slices:,} slices of images")
    rows.append(f"  {word('part'):<14}{word('parameters'):>16}{word('learned'):>16}")
    for p in plan.parts:
        rows.append(f"  {p.part:<14}{p.parameters:>16,}{p.learned:>16,}")
    count, learned = sum(p.parameters for p in plan.parts), sum(p.learned for p in plan.parts)
    rows.append(f"  {word('total'):<14}{count:>16,}{learned:>16,}")
    rows.append(f"  {word('memory')}: {plan.peak / GIB:.2f}")
    shown = [k for k in ORDER if plan.memory.get(k, 0) >= 0.005 * GIB]
    rows += [f"    {plan.memory[k] / GIB:9.2f}  {word(k)}" for k in shown]
    disk = ", ".join(f"{word(k)} {v / GIB:.2f}" for k, v in plan.disk.items() if v)
    rows.append(f"  {word('disk')}: {disk}")
    step = f"{plan.seconds:.3g} s"
    rows.append(
        f"  一步 {step}，共 {_duration(plan.total_seconds, zh)}"
        if zh
        else f"  a step {step}, in all {_duration(plan.total_seconds, zh)}"
    )
    return rows


def _advice(plan: StagePlan, device: Device, advice: Advice, zh: bool) -> list[str]:
    over = plan.peak / GIB
    room = SHARE * device.memory / GIB
    if zh:
        rows = [f"  放不下：需要 {over:.2f} GiB，可用 {room:.2f} GiB"]
    else:
        rows = [f"  does not fit: {over:.2f} GiB of {room:.2f} GiB"]
    rows += [f"    --set {k.setting}   {k.words_zh if zh else k.words_en}" for k in advice.knobs]
    then = advice.peak / GIB
    if advice.fits:
        rows.append(f"    改后 {then:.2f} GiB，放得下" if zh else f"    then {then:.2f} GiB: it fits")
    elif zh:
        rows.append(f"    改后仍需 {then:.2f} GiB：需要更大的设备或更小的模型（多卡可用 train.shard）")
    else:
        rows.append(
            f"    then still {then:.2f} GiB: a larger device, several (train.shard) or a smaller model"
        )
    return rows


def _sentence(zh: bool, key: str) -> str:
    return {
        "measured": (
            "constants fitted to trainings measured on a CPU (bench/plan.md)",
            "常数由 CPU 上实测的训练拟合（bench/plan.md）",
        ),
        "unmeasured": (
            "from formulas and data sheets only, never measured; times are the roofline's limit",
            "仅按公式与产品手册计算，从未实测；时间为屋顶线模型的下限",
        ),
    }[key][zh]


def _duration(seconds: float, zh: bool) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours:,} 小时 {minutes} 分" if zh else f"{hours:,} h {minutes} min"
    return f"{minutes} 分 {left} 秒" if zh else f"{minutes} min {left} s"
