"""A small trained run, written by hand: manifests that name each other, two sealed checkpoints, a log."""

import json
import struct
from pathlib import Path

from p2med.card.ledger import ledger
from p2med.store import Count, Manifest, sha256_of, verb_folder, write_bytes, write_json, write_text

HOSPITAL = {"kind": "hospital", "dicom_dir": "run:0_synth/pacs", "exports_dir": "run:0_synth/exports"}
HOSPITAL |= {"tables": [{"file": "a.csv", "kind": "patient", "columns": {"a": "patient_id"}}]}
FRESH = {
    "llm": {"weights": None},
    "encoder": {"kind": "cnn", "weights": None},
    "connector": {"kind": "perceiver", "weights": None},
    "tokenizer": {"kind": "train", "path": None},
}


def write_manifest(root: Path, verb: str, inputs=(), files=None, notes=None, section=None) -> None:
    read = {v: sha256_of(verb_folder(root, v) / "manifest.json") for v in inputs}
    manifest = Manifest(
        verb=verb,
        version="0",
        code="c",
        section=section or {},
        inputs=read,
        counts={"case": Count(entered=9, passed=8, rejected=1)},
        rejected_reasons={"case": {"too_long": 1}},
        notes=notes or {},
        files=files or {},
    )
    write_json(verb_folder(root, verb) / "manifest.json", manifest.model_dump(mode="json"))


def write_checkpoint(folder: Path, model: dict, losses: list[float | None], licences: dict | None) -> None:
    header = {"encoder.a": ("F32", [2, 3]), "language_model.x.lora_A.weight": ("F32", [1, 5])}
    header |= {"language_model.b": ("U8", [4, 5]), "language_model.b_scale": ("F32", [4, 1])}
    tensors = {n: {"dtype": t, "shape": s, "data_offsets": [0, 0]} for n, (t, s) in header.items()}
    raw = json.dumps(tensors).encode()
    write_bytes(folder / "model.safetensors", struct.pack("<Q", len(raw)) + raw)
    llm = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    llm |= {"vocab_size": 99, "max_position_embeddings": 64}
    config = {"text_config": llm, "encoder": {"kind": "cnn"}, "connector": {"kind": "perceiver"}}
    write_json(folder / "config.json", config | {"adapter": None})
    write_json(folder / "image_spec.json", {"size": 32})
    stage = {"stage": folder.name, "learn": ["llm"], "objective": "sft", "lr": 1e-3, "epochs": 2.0}
    made_by = {"stage": folder.name, "identity": {"stage": stage | {"batch_size": 4}, "model": model}}
    made_by |= {"steps": len(losses), "skipped_steps": losses.count(None), "restored": 0, "device": "cpu"}
    made_by |= {
        "ranks": 1,
        "threads": 1,
        "licences": licences,
        "conversations": {"entered": 9, "passed": 8, "rejected": 1},
    }
    write_json(folder / "stage.json", made_by)
    lines = [
        {"step": n, "kind": "film", "task": "xray_report", "loss": x, "lr": 1e-3, "grad_norm": x,
         "samples": 4, "tokens": 100, "learned_tokens": 30}
        for n, x in enumerate(losses)
    ]  # fmt: skip
    write_text(folder / "losses.jsonl", "".join(json.dumps(x) + "\n" for x in lines))
    digests = {p.name: sha256_of(p) for p in sorted(folder.iterdir()) if p.name != "digests.json"}
    write_json(folder / "digests.json", digests)


def write_run(
    root: Path, source: dict = HOSPITAL, losses=(3.0, None, 1.0), statements=(), record=True
) -> Path:
    """The last stage is `stage1`; with `record` its licences are kept as `p2med train` keeps them."""
    write_manifest(root, "ingest", section={"sources": [source]})
    write_manifest(root, "deid", ["ingest"])
    splits = {"patients": {"train": 5, "bench": 3}, "cases": {"train": 6, "bench": 4}}
    write_manifest(root, "curate", ["deid"], notes=splits)
    write_manifest(root, "mix", ["curate"])
    folder = verb_folder(root, "train")
    parts = ledger(FRESH, [source], statements, root)
    kept = {"use": ["research"], "parts": [p.model_dump(mode="json") for p in parts]} if record else None
    for stage in ("base", "stage1"):
        write_checkpoint(folder / stage, FRESH, list(losses), kept)
    write_json(folder / "stages.json", ["base", "stage1"])
    files = {f"{s}/digests.json": sha256_of(folder / s / "digests.json") for s in ("base", "stage1")}
    section = {"stages": [{"stage": "base"}, {"stage": "stage1"}]}
    notes = {"licences": kept} if kept else {}
    write_manifest(root, "train", ["mix"], files=files, section=section, notes=notes)
    return root
