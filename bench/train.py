"""Training speed side by side: transformers' Trainer as users run it, with its best settings, and ours.

    python bench/train.py --tokenizer TOKENIZER_MODEL [--rounds 3] [--samples 32] [--threads 2] [--out FILE]

Same model (LLaMA of 82 M, 55,298 tokens; ViT-S/14-336; perceiver; LoRA rank 8), same conversations, bfloat16
autocast, 8 conversations a step. Every side runs in a process of its own, one after the other in every round.
Counted are real tokens, no padding, over the wall and over the CPU: on a shared machine the second is the
steadier one. Three settings:

  8x1800   8 conversations a pass, cut at 1,800 tokens: .40 of a padded pass is real; the Trainer takes 17 GiB
  8x928    the same, cut at 928 tokens: .53 real, 9 GiB
  2x3900   cut at 3,900 tokens, 2 a pass and 4 passes a step: .71 real, so kinder to the Trainer; 7 GiB

Lengths as in stage 2 of the paper: outpatient records of about 330 tokens, inpatient ones of about 1,800 and
films of one or two views (bench/train_sides.py). Figures: bench/train.md.

    python bench/train.py --device cuda --tokenizer TOKENIZER_MODEL [--steps 8] [--out FILE]

measures stage 2 of the 8B shape instead: bench/train_large.py.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import train_large
from train_sides import BATCH, make_examples, make_model, our_loop, ours, theirs

SETTINGS = {"8x1800": (8, 1800), "8x928": (8, 928), "2x3900": (2, 3900)}
SIDES = ("trainer", "trainer, features cached, lengths sorted", "ours")


def one_side(side: str, setting: str, tokenizer: bytes, samples: int, folder: Path) -> dict[str, float]:
    """Run one side once, in this process."""
    each, longest = SETTINGS[setting]
    examples = make_examples(samples, tokenizer, longest)
    model = make_model(tokenizer)
    loop = our_loop(model, examples, folder) if side != SIDES[0] else None
    features = {}
    if loop:  # every epoch but the first finds them
        features = {v.path: loop.batcher._features(v) for e in examples for v in e.volumes}
    if side == SIDES[2]:
        seconds, cpu, _ = ours(loop, folder)
    elif side == SIDES[1]:
        seconds, cpu, _ = theirs(make_model(tokenizer), examples, features, "group_by_length", each)
    else:
        seconds, cpu, _ = theirs(model, examples, None, "random", each)
    tokens = sum(len(e.input_ids) for e in examples)
    return {
        "tokens_per_s": tokens / seconds,
        "tokens_per_cpu_s": tokens / cpu,
        "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "load": os.getloadavg()[0],
    }


def same_losses(tokenizer: bytes, folder: Path) -> dict[str, list[float]]:
    """Three steps of both on the same batches in the same order, in float32 and in bfloat16."""
    shortest = sorted(make_examples(60, tokenizer, 2048), key=lambda e: len(e.input_ids))
    chosen = [e for e in shortest if e.group[0] == "film"][:BATCH]
    chosen += [e for e in shortest if e.group[0] == "text"][: 2 * BATCH]
    found = {}
    for name, bf16 in (("float32", False), ("bfloat16", True)):
        loop = our_loop(make_model(tokenizer), chosen, folder / name, bf16)
        order = [chosen[i] for step in range(loop.plan.steps) for i in loop.plan.batch(step)]
        features = {v.path: loop.batcher._features(v) for e in chosen for v in e.volumes}
        found[f"ours, {name}"] = ours(loop, folder / name)[2]
        losses = theirs(make_model(tokenizer), order, features, "sequential", BATCH, bf16)[2]
        found[f"trainer, {name}"] = losses
    return found


def in_child(arguments: list[str], threads: int, memory_gib: float) -> dict:
    """This file again, as a process with a limit; what it cannot do is said, not hidden."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_gib * 2**30), int(memory_gib * 2**30)))

    command = [sys.executable, __file__, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    preexec = limit if memory_gib else None
    done = subprocess.run(command, env=environment, preexec_fn=preexec, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(runs: dict[str, list[dict]]) -> dict[str, dict]:
    """Medians, and how many times ours is faster, for one setting."""
    found = {}
    for side, rows in runs.items():
        found[side] = {key: round(statistics.median(r[key] for r in rows), 2) for key in rows[0]}
        for key in ("tokens_per_s", "tokens_per_cpu_s"):
            found[side][f"{key}, runs"] = [round(r[key]) for r in rows]
            ratios = [o[key] / r[key] for o, r in zip(runs["ours"], rows, strict=True)]
            found[side][f"ours to it, {key}"] = round(statistics.median(ratios), 2)
    return found


def large(args: argparse.Namespace, common: list[str]) -> dict[str, dict]:
    """Every way of the large shape's steps; one that stops says so in its place."""
    common += ["--device", args.device, "--shape", args.shape, "--steps", str(args.steps)]
    runs, failed = {}, {}
    for way in train_large.WAYS:
        try:
            runs[way] = in_child([*common, "--side", way], args.threads, 0)
        except SystemExit as error:
            failed[way] = {"failed": str(error)}
    return train_large.summary(runs) | failed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokenizer", type=Path, required=True, help="Chinese-LLaMA-2's tokenizer.model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gib", type=float, default=19.0, help="address space of a side")
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--side", choices=[*SIDES, "losses", *train_large.WAYS], help="this one alone, here")
    parser.add_argument("--device", help="the large shape on this device: cuda")
    parser.add_argument("--shape", choices=train_large.SHAPES, default="8b")
    parser.add_argument("--steps", type=int, default=8, help="steps of the large shape")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.side:
        torch.set_num_threads(args.threads)
        torch.use_deterministic_algorithms(args.side in ("ours", "losses"))  # as p2med train does
        torch.utils.deterministic.fill_uninitialized_memory = False
        tokenizer = args.tokenizer.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            if args.side in train_large.WAYS:
                device = torch.device(args.device)
                print(json.dumps(train_large.one_way(args.side, args.shape, tokenizer, device, args.steps)))
            elif args.side == "losses":
                print(json.dumps(same_losses(tokenizer, Path(folder))))
            else:
                print(
                    json.dumps(one_side(args.side, args.settings[0], tokenizer, args.samples, Path(folder)))
                )
        return
    common = ["--tokenizer", str(args.tokenizer), "--samples", str(args.samples)]
    common += ["--threads", str(args.threads)]
    if args.device:
        report(large(args, common), args.out)
        return
    result = {"losses": in_child([*common, "--side", "losses"], args.threads, args.memory_gib)}
    print(json.dumps(result), flush=True)
    for setting in args.settings:
        runs: dict[str, list[dict]] = {side: [] for side in SIDES}
        for _ in range(args.rounds):
            for side in SIDES:
                arguments = [*common, "--settings", setting, "--side", side]
                runs[side].append(in_child(arguments, args.threads, args.memory_gib))
                print(setting, side, {k: round(v, 1) for k, v in runs[side][-1].items()}, flush=True)
        result[setting] = table(runs)
    report(result, args.out)


def report(result: dict, out: Path | None) -> None:
    print(json.dumps(result, indent=1))
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
