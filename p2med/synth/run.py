"""Verb 0: the synthetic Chinese children's hospital, a private hospital's dump that everyone may have.

    OUT/pacs/**.dcm  exports/*.csv|xlsx  truth.jsonl  identities.jsonl  bench_patients.txt  deid.key
    OUT/summary.json (last)

The bytes depend on the recipe's section alone, whatever the number of processes. A killed run continues:
films that are there are kept (each was written whole), tables are written again. summary.json comes last.
"""

import hashlib
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

from p2med.errors import P2MedError
from p2med.progress import say, track
from p2med.store import TEMPORARY_SUFFIX, code_digest, write_bytes, write_json, write_text
from p2med.synth import paper
from p2med.synth.config import SynthConfig
from p2med.synth.exports import Exports
from p2med.synth.patient import Made, make_patient

OWN = {"pacs", "exports", "truth.jsonl", "identities.jsonl", "bench_patients.txt", "deid.key"}
NGRAM = 4


def run(config: SynthConfig, out: Path) -> None:
    """Write the hospital into `out`; nothing is done when it is there already.

    Raises:
      P2MedError: `out` holds other files, or a hospital of another seed or size.
    """
    if config.paper_scale:
        paper.run(config, out.parent)
        return
    identity = {
        "config": config.model_dump(mode="json", exclude={"workers"}),
        "code": code_digest("synth"),
    }
    if _is_there(out, identity):
        return
    write_json(out / "begun.json", identity)
    exports = Exports(out / "exports")
    truth, identities, bench = _Lines(out / "truth.jsonl"), _Lines(out / "identities.jsonl"), []
    spread = _Spread()
    counts = {"patients": 0, "files": 0}
    for made in track(_made(config, out), "synth", total=config.patients):
        for name, row in made.rows:
            exports.add(name, [row])
            spread.add(name, row)
        truth.add(made.truth)
        for one in made.identities:
            identities.add(one)
        if made.bench:
            bench.append(made.patient_id)
        counts["patients"] += 1
        counts["files"] += len(made.files)
    exports.close()
    truth.close()
    identities.close()
    write_text(out / "bench_patients.txt", "".join(p + "\n" for p in bench))
    _write_key(out / "deid.key", config.seed)
    summary = {**identity, **counts, "distinct_4_gram_ratio": spread.ratios()}
    write_json(out / "summary.json", summary)
    (out / "begun.json").unlink()
    ratios = ", ".join(f"{k} {v:.3f}" for k, v in spread.ratios().items())
    say(f"synth: {counts['patients']} patients, {counts['files']} DICOM files; distinct 4-grams: {ratios}")


def _is_there(out: Path, identity: dict[str, Any]) -> bool:
    """True when this very hospital is finished; refuses what is not ours or is another one."""
    for marker in ("summary.json", "begun.json"):
        if (out / marker).exists():
            found = json.loads((out / marker).read_bytes())
            if all(found.get(k) == v for k, v in identity.items()):
                return marker == "summary.json"
            raise P2MedError(
                f"{out} holds a synthetic hospital of other settings; delete it or choose another"
            )
    if out.exists() and any(p.name not in OWN for p in out.iterdir()):
        raise P2MedError(f"{out} holds files that p2med did not write; choose an empty folder")
    return False


def _made(config: SynthConfig, out: Path):
    """Patients in order; workers write the films and send back the rest."""
    jobs = [(i, config, str(out)) for i in range(config.patients)]
    workers = config.workers or os.cpu_count() or 1
    if workers == 1 or config.patients < 8:
        yield from map(_make_and_write, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_make_and_write, jobs, chunksize=4)


def _make_and_write(job: tuple[int, SynthConfig, str]) -> Made:
    index, config, out = job
    made = make_patient(index, config)
    for name, content in made.files:
        path = Path(out) / name
        if not path.exists():
            write_bytes(path, content)
    return made.model_copy(update={"files": [(name, b"") for name, _ in made.files]})


def _write_key(path: Path, seed: int) -> None:
    """The key of a hospital of invented children is no secret; it makes the demo repeatable."""
    write_text(path, hashlib.sha256(f"p2med synth key {seed}".encode()).hexdigest() + "\n")
    path.chmod(0o600)


class _Lines:
    """A JSON-lines file, under a temporary name until it is closed."""

    def __init__(self, path: Path):
        self.path = path
        self.temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        self.file = open(self.temporary, "w", encoding="utf-8")

    def add(self, value: dict[str, Any]) -> None:
        self.file.write(json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n")

    def close(self) -> None:
        self.file.close()
        os.replace(self.temporary, self.path)


class _Spread:
    """How varied each table's texts are: distinct character 4-grams / all of them."""

    def __init__(self) -> None:
        self.total: dict[str, int] = {}
        self.distinct: dict[str, set[str]] = {}

    def add(self, table: str, row: dict[str, str]) -> None:
        seen = self.distinct.setdefault(table, set())
        for text in row.values():
            if len(text) > 3 * NGRAM:
                grams = [text[i : i + NGRAM] for i in range(len(text) - NGRAM + 1)]
                self.total[table] = self.total.get(table, 0) + len(grams)
                seen.update(grams)

    def ratios(self) -> dict[str, float]:
        return {t: round(len(self.distinct[t]) / n, 4) for t, n in sorted(self.total.items())}
