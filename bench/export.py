"""From a LoRA checkpoint to a CPU engine: sizes, load time, speed, and how much of the answer stays the same.

    python bench/export.py --tokenizer chinese_llama2_tokenizer.model [--size 200m] [--rounds 2] [--work DIR]
    python bench/export.py --prompts 1000        tokens after merge and over HTTP, tiny model, no tokenizer
    python bench/export.py --true-size --tokenizer …    memory of merging and exporting 8B (22 GB of disk)

Random weights, so the figures prove software, never medicine. Every measurement runs in a process of its own,
all of them once a round, so that a busy machine slows all alike. Figures: bench/export.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
import uvicorn

from p2med.export.parity import parity
from p2med.export.samples import Sample, drawn
from p2med.export.sides import Local, Server
from p2med.export.write import export
from p2med.imaging.spec import ImageSpec
from p2med.model.build import add_adapter, build, build_tokenizer, model_shape, part_options
from p2med.model.checkpoint import save_checkpoint, seal
from p2med.model.config import LlmConfig, ModelSection, PartConfig, TokenizerConfig
from p2med.model.generate import Generator
from p2med.model.merge import merge
from p2med.model.processor import P2MedProcessor
from p2med.model.tokenizer import open_tokenizer
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.schema.conversation import Conversation, Turn, text
from p2med.serve.app import create_app
from p2med.serve.config import ServeConfig

SIZES = {
    "tiny": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4),
    "200m": dict(hidden_size=1024, intermediate_size=2816, num_hidden_layers=8, num_attention_heads=16),
    "700m": dict(hidden_size=1536, intermediate_size=4096, num_hidden_layers=18, num_attention_heads=24),
}
PROMPT, NEW = 512, 64
FOLDERS = ("merged_f32", "merged_bf16", "bf16", "int8", "int4")


def make(folder: Path, tokenizer: Path | None, size: str) -> None:
    """A LoRA checkpoint of random weights, its language model in bfloat16 above the smallest size."""
    kind = TokenizerConfig(kind="file", path=str(tokenizer)) if tokenizer else TokenizerConfig(vocab_size=400)
    vision = size == "tiny"
    section = ModelSection(
        encoder=PartConfig(kind="cnn", channels=(8, 16), blocks=(1, 1), groups=4) if vision else None,
        connector=PartConfig(kind="perceiver", layers=1, latents=4, heads=2, head_width=16)
        if vision
        else None,
        llm=LlmConfig(**SIZES[size], max_position_embeddings=2048, initializer_range=0.1 if vision else 0.02),
        adapter=PartConfig(kind="lora", rank=8),
        tokenizer=kind,
    )
    words = build_tokenizer(section, [f"患儿咳嗽{n}天，双肺呼吸音粗，诊断支气管肺炎。" for n in range(90)])
    torch.set_default_dtype(torch.bfloat16 if size == "700m" else torch.float32)
    spec = ImageSpec(size=32)
    model, processor = build(section, spec, words)
    torch.set_default_dtype(torch.float32)
    assert section.adapter
    add_adapter(model, section.adapter, seed=0)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.02)
    save_checkpoint(folder, model, words, processor, spec, {"stage": "random"})


# ---------------------------------------------------------------- each in a process of its own


def memory_mib() -> int:
    """The most that was resident, mapped files included; getrusage's figure would include the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def measure_speed(folder: Path, threads: int) -> dict[str, float]:
    """Load time; tokens a second of processor time of a prompt of 512 and of the 64 after it, greedy.

    On a machine that others use, the clock measures them as well: with one thread processor time does not.
    """
    start = time.perf_counter()
    generator = Generator.load(folder, "cpu", threads)
    loaded = time.perf_counter() - start
    generator.stop = -1  # random weights may stop at once
    prompt = next(n for n in range(100, 2000) if len(_ids(generator, n)) >= PROMPT)
    asked = generator.prompt(_conversation(prompt), lambda v: None)
    rounds = [_time_steps(generator, asked) for _ in range(3)]
    best = {name: min(r[name] for r in rounds) for name in rounds[0]}
    return {
        "load_s": loaded,
        "prefill": len(asked.ids) / best["prompt_cpu"],
        "decode": 1 / best["token_cpu"],
        "prefill_by_the_clock": len(asked.ids) / best["prompt"],
        "decode_by_the_clock": 1 / best["token"],
        "memory_mib": memory_mib(),
    }


def _time_steps(generator: Generator, asked: Any) -> dict[str, float]:
    """Seconds of the prompt and, in the median, of a token: by the clock and of all processors used."""
    start, start_cpu = time.perf_counter(), time.process_time()
    clock, cpu = [], []
    with torch.inference_mode():
        for _ in generator.steps([asked], NEW, 0.0, 1.0, 0):
            clock.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
    found = {"prompt": clock[0], "prompt_cpu": cpu[0]}
    for name, moments in (("token", clock), ("token_cpu", cpu)):
        found[name] = statistics.median(b - a for a, b in zip(moments, moments[1:], strict=False))
    return found


def _conversation(characters: int) -> Conversation:
    words = ("患儿男，3岁，发热伴咳嗽2天，双肺呼吸音粗，可闻及湿啰音。" * 99)[:characters]
    turn = Turn(role="user", content=(text(words),))
    return Conversation(conversation_id="c", task="t", case_id="c", patient_key="p", turns=(turn,))


def _ids(generator: Generator, characters: int) -> list[int]:
    return generator.processor.encode(_conversation(characters)).input_ids


def measure_parity(a: Path, b: Path) -> dict[str, Any]:
    samples = [s for s in drawn() if not s.conversation.has_image]
    samples += [Sample(_conversation(40 + 7 * n)) for n in range(6)]
    found = parity(Local(a), Local(b), samples, 32)
    logits = [d for d in found.differences if d.stage == "logits"]
    way = [d for d in found.differences if d.stage == "on the way" and d.name.startswith("language_model")]
    return {
        "first": found.first,
        "whole": sum(t.first is None for t in found.tokens),
        "answers": len(found.tokens),
        "agree": sum(t.agree or 0 for t in found.tokens) / sum(t.total for t in found.tokens),
        "logits_max": max(d.largest for d in logits),
        "logits_mean": max(d.mean for d in logits),
        "logits_relative": max(d.relative for d in logits),
        "way_relative": max(d.relative for d in way),
        "way": max(way, key=lambda d: d.relative).name,
        "memory_mib": memory_mib(),
    }


def measure_merge(folder: Path, out: Path, dtype: str) -> dict[str, float]:
    start = time.perf_counter()
    merge(folder, out, dtype)
    return {"seconds": time.perf_counter() - start, "memory_mib": memory_mib()}


def measure_export(folder: Path, out: Path, kind: str) -> dict[str, float]:
    start = time.perf_counter()
    export(folder, out, kind)
    return {"seconds": time.perf_counter() - start, "memory_mib": memory_mib()}


def alone(call: str, *values: object) -> dict[str, Any]:
    """Run one of the functions above in a new process."""
    words = ", ".join(f"Path({str(v)!r})" if isinstance(v, Path) else repr(v) for v in values)
    code = f"import json; from pathlib import Path; from export import *; print(json.dumps({call}({words})))"
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    print(call, *(v.name if isinstance(v, Path) else v for v in values), found, flush=True)
    return found


# ---------------------------------------------------------------- tokens along the chain


def prompts(count: int) -> dict[str, Any]:
    """Answers to `count` prompts of a tiny model: with LoRA, merged, and merged behind a server."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root / "lora", None, "tiny")
        merge(root / "lora", root / "merged")
        asked = [_numbered(s, n) for n in range(count) for s in [drawn()[n % 4]]]
        local = parity(Local(root / "lora"), Local(root / "merged"), asked, 8)
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(Generator.load(root / "merged", "cpu"), ServeConfig()), port=0, log_level="error"
            )
        )
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.05)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        remote = parity(Local(root / "merged"), Server(url), asked, 8)
        server.should_exit = True
    return {
        "merge": [local.first, sum(t.first is None for t in local.tokens), len(local.tokens)],
        "http": [remote.first, sum(t.first is None for t in remote.tokens), len(remote.tokens)],
    }


def _numbered(sample: Sample, n: int) -> Sample:
    """The sample with a text of its own."""
    turn = sample.conversation.turns[-1]
    turns = (
        *sample.conversation.turns[:-1],
        turn.model_copy(update={"content": (*turn.content, text(f"{n}号"))}),
    )
    changed = sample.conversation.model_copy(update={"turns": turns, "conversation_id": f"{sample.name} {n}"})
    return Sample(changed, sample.pictures)


# ---------------------------------------------------------------- the paper's 8B, without its memory


def make_8b(folder: Path, tokenizer: Path) -> int:
    """The 8B with LoRA as a checkpoint in one sparse file: every number is 0 and takes no disk."""
    section = ModelSection(adapter=PartConfig(kind="lora", rank=8), llm=LlmConfig(dtype="bfloat16"))
    words = tokenizer.read_bytes()
    opened = open_tokenizer(words)
    image = ImageSpec(size=336, max_slices=128)
    shape = model_shape(section, image, len(opened))
    shape.image_token_id = opened.convert_tokens_to_ids("<image>")
    shape.adapter = part_options(section.adapter)
    with torch.device("meta"):
        model = P2MedForConditionalGeneration(shape)
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in model.state_dict().items():
        half = name.startswith("language_model.") and "lora_" not in name
        start, end = end, end + tensor.numel() * (2 if half else 4)
        kind = "BF16" if half else "F32"
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, end]}
    folder.mkdir(parents=True)
    shape.save_pretrained(folder)
    P2MedProcessor(opened, connector=shape.connector, patches=576).save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(words)
    (folder / "image_spec.json").write_text(image.model_dump_json())
    (folder / "stage.json").write_text("{}")
    text_of = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text_of).to_bytes(8, "little") + text_of)
        file.truncate(8 + len(text_of) + end)
    seal(folder)
    return end


def measure_true_size(folder: Path, out: Path, kind: str) -> dict[str, float]:
    """Seconds, and the most memory that was the process's own (mapped files can be dropped at any time)."""
    most, done, start = [0], threading.Event(), time.perf_counter()

    def watch() -> None:
        while not done.wait(0.02):
            status = Path("/proc/self/status").read_text()
            most[0] = max(most[0], int(status.partition("RssAnon:")[2].split()[0]) // 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    merge(folder, out) if kind == "merge" else export(folder, out, kind)
    done.set()
    thread.join()
    size = sum(p.stat().st_size for p in out.iterdir())
    return {"seconds": time.perf_counter() - start, "own_memory_mib": most[0], "size_mib": size // 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--size", choices=SIZES, default="200m")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/bench_export"))
    parser.add_argument("--prompts", type=int)
    parser.add_argument("--true-size", action="store_true")
    given = parser.parse_args()
    if given.true_size:
        with tempfile.TemporaryDirectory(dir=given.work) as folder:
            print(f"{make_8b(Path(folder) / 'lora', given.tokenizer) / 2**30:.1f} GiB")
            for kind in ("int4", "merge"):
                alone("measure_true_size", Path(folder) / "lora", Path(folder) / kind, kind)
        return
    if given.prompts:
        print(json.dumps(prompts(given.prompts)))
        return
    root = given.work.resolve() / given.size
    found: dict[str, Any] = {}
    if not (root / "lora").exists():
        make(root / "lora", given.tokenizer, given.size)
        for name, dtype in (("merged_f32", "float32"), ("merged_bf16", "bfloat16")):
            found[f"merge {name}"] = alone("measure_merge", root / "lora", root / name, dtype)
        for kind in ("bf16", "int8", "int4"):
            found[f"export {kind}"] = alone("measure_export", root / "merged_f32", root / kind, kind)
    for _ in range(given.rounds):
        for name in FOLDERS:
            found.setdefault(name, []).append(alone("measure_speed", root / name, given.threads))
    for name in ("merged_f32", "merged_bf16", "bf16", "int8", "int4"):
        source = root / ("lora" if name == "merged_f32" else "merged_f32")
        found[f"parity {name}"] = alone("measure_parity", source, root / name)
    for name in FOLDERS:
        size = sum(p.stat().st_size for p in (root / name).glob("*.safetensors"))
        best = {k: max(r[k] for r in found[name]) for k in ("prefill", "decode")}
        load = min(r["load_s"] for r in found[name])
        speed = (
            f"prefill {best['prefill']:.0f}, decode {best['decode']:.1f} tokens a second of processor time"
        )
        print(f"{name:12} {size / 2**20:7.0f} MiB, load {load:.1f} s, {speed}")
    (root / "found.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
