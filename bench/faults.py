"""Kill and starve the data verbs, run the same command again, compare every byte.

    python bench/faults.py --kills 240 --errors 240 --disks 24 --out FOLDER

A fault is drawn at random: SIGKILL before, halfway through or after one disk operation, SIGKILL at a moment,
ENOSPC or EIO from one disk operation (a write fails halfway), EIO from one read, or a disk (tmpfs, needs
root) that is too small. One in three faulted runs is faulted again while it resumes. The operations are
those of Python; what Arrow and Excel readers read in C++ is not faulted.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faulty_disk import BROKEN, STOPPED, Fault, child, start_readers

REPOSITORY = Path(__file__).parents[1]
VERBS = ("ingest", "deid", "curate", "mix")
KILLS = ("kill_operation", "kill_moment")
KILLS_OF_SEVERAL = ("kill_worker", "kill_moment")
"""With several processes: one of the workers, or the verb itself, whose workers must not write on."""
ERRORS = ("enospc_write", "eio_write", "eio_read")
GOOD = ("identical", "no fault met", "named")


# ---------------------------------------------------------------- one trial


@dataclass(frozen=True)
class Ended:
    code: int
    said: Any
    seconds: float


def run_child(verb: Callable[[], Any], root: Path, fault: Fault | None, seconds: float = 0.0) -> Ended:
    """Fork, run, wait. `seconds`: what the verb takes, for a kill at a moment."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(verb, root, fault, there))
    start = time.monotonic()
    process.start()
    there.close()
    if fault is not None and fault.kind in ("kill_moment", "kill_worker"):
        process.join(fault.at * seconds)
        victims = [process.pid or 0] if fault.kind == "kill_moment" else workers_of(process.pid or 0)
        if process.is_alive() and victims:
            os.kill(victims[-1], signal.SIGKILL)
    process.join(240)
    if process.is_alive():
        os.kill(process.pid or 0, signal.SIGKILL)
        raise SystemExit("a run did not end within 240 s")
    try:
        said = here.recv() if here.poll() else None
    except EOFError:
        said = None
    return Ended(process.exitcode or 0, said, time.monotonic() - start)


def workers_of(parent: int) -> list[int]:
    """The pool's processes of a verb; its guarded readers have another parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            ppid = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if ppid == parent and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, ValueError):  # it has just ended
            continue
    return sorted(found)


def contents(folder: Path) -> dict[str, str]:
    """Digest by path."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def unbalanced(folder: Path) -> bool:
    """True when the manifest's counts do not add up."""
    counts = json.loads((folder / "manifest.json").read_bytes())["counts"]
    return not counts or any(c["entered"] != c["passed"] + c["rejected"] for c in counts.values())


class Bench:
    """One verb, its inputs and what it must become."""

    def __init__(self, name: str, verb: Callable[[Path], Any], inputs: Path, folder: str, work: Path):
        self.name, self.verb, self.folder = name, verb, folder
        self.root = work / "demo"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(inputs, self.root)
        self.seconds = 0.0
        for _ in range(2):  # the first run compiles, so its time says nothing
            shutil.rmtree(self.root / folder, ignore_errors=True)
            ended = self._run(None)
            if ended.code:
                raise SystemExit(f"{name} does not run: {ended.said}")
        self.writes, self.reads = ended.said
        self.seconds = ended.seconds
        self.whole = contents(self.root)
        self.size = sum((p.stat().st_size + 4095) // 4096 * 4096 for p in (self.root / folder).rglob("*"))

    def _run(self, fault: Fault | None) -> Ended:
        return run_child(lambda: self.verb(self.root), self.root, fault, self.seconds)

    def draw(self, rng: random.Random, kind: str) -> Fault:
        """A fault of this kind somewhere in the run."""
        if kind in ("kill_moment", "kill_worker"):
            return Fault(kind, rng.random())
        most = self.reads if kind == "eio_read" else self.writes
        parts = ("before", "halfway", "after") if kind == "kill_operation" else ("before", "halfway")
        return Fault(kind, rng.randint(1, max(1, most)), rng.choice(parts))

    def trial(self, faults: list[Fault]) -> str:
        """Fault, fault again, resume.

        Returns:
          `identical`; `no fault met` when the operation did not come; `named` when a file that could not be
          read was rejected by name and the counts balance; or what is wrong.
        """
        shutil.rmtree(self.root / self.folder, ignore_errors=True)
        met = 0
        for fault in faults:
            ended = self._run(fault)
            met += ended.code in (-signal.SIGKILL, STOPPED, BROKEN)
            finished = (self.root / self.folder / "manifest.json").exists()
            if ended.code == BROKEN and fault.kind != "kill_worker":
                return f"broken: {ended.said}"
            if finished and self._different(while_running=True):
                named = fault.kind == "eio_read" and not unbalanced(self.root / self.folder)
                return "named" if named else "finished with other bytes"
            if ended.code == 0 and not finished:
                return "no manifest"
        return self._resumed(met)

    def _resumed(self, met: int) -> str:
        ended = self._run(None)
        if ended.code != 0:
            return f"no resume: {ended.said}"
        if different := self._different():
            return f"differs: {different[:3]}"
        if unbalanced(self.root / self.folder):
            return "counts do not balance"
        return "identical" if met else "no fault met"

    def _different(self, while_running: bool = False) -> list[str]:
        """Paths that are not as in the whole run; while it runs, its own marks may stand beside them."""
        found = contents(self.root)
        marks = (f"{self.folder}/parts/", f"{self.folder}/begun.json")
        names = {n for n in {*self.whole, *found} if not (while_running and n.startswith(marks))}
        return sorted(n for n in names if self.whole.get(n) != found.get(n))

    def small_disk(self, rng: random.Random) -> str:
        """The whole run folder on a real disk that is too small, which then grows."""
        shutil.rmtree(self.root / self.folder, ignore_errors=True)
        with tmpfs(self.root.with_name("disk")) as disk:
            root = disk / "demo"
            shutil.copytree(self.root, root)
            space = os.statvfs(disk)
            used = (space.f_blocks - space.f_bfree) * space.f_frsize
            resize(disk, used + int(self.size * rng.random()))
            ended = run_child(lambda: self.verb(root), root, None)
            if ended.code == BROKEN:
                return f"broken: {ended.said}"
            resize(disk, 2**30)
            usual, self.root = self.root, root
            outcome = self._resumed(ended.code == STOPPED)
            self.root = usual
            return outcome


@contextmanager
def tmpfs(folder: Path) -> Iterator[Path]:
    """A disk of memory, 1 GiB; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


# ---------------------------------------------------------------- all of it


def hospital(root: Path, patients: int, workers: int) -> list[tuple[str, Callable[[Path], Any], str]]:
    """A small synthetic hospital, and the verbs that work on it: name, function, folder."""
    from p2med import store
    from p2med.curate.run import run as curate
    from p2med.deid.run import run as deid
    from p2med.ingest.run import run as ingest
    from p2med.mix.run import run as mix
    from p2med.recipe import read_recipe
    from p2med.synth.config import SynthConfig
    from p2med.synth.run import run as synth

    small = ("ingest.shard_size=4", *(f"{v}.workers={workers}" for v in VERBS[1:]))
    sizes = ("curate.image.size=32", "curate.image.max_slices=5", "curate.contact_sheets=true")
    recipe = read_recipe(REPOSITORY / "recipes" / "demo.yaml", small + sizes)
    config = SynthConfig(patients=patients, xray_pixels=96, ct_pixels=64, ct_slices=5, workers=1)
    synth(config, root / "0_synth")
    runs = {"ingest": ingest, "deid": deid, "curate": curate, "mix": mix}

    def of(verb: str) -> Callable[[Path], Any]:
        return lambda at: runs[verb](getattr(recipe, verb), at)

    return [(v, of(v), store.verb_folder(Path(), v).name) for v in VERBS]


def run(
    out: Path, patients: int, kills: int, errors: int, disks: int, seed: int, workers: int = 1
) -> Counter[tuple[str, ...]]:
    """Every verb in turn on what the verbs before it made.

    Returns:
      How many trials ended how: (verb, kind of fault, outcome).
    """
    start_readers()
    rng = random.Random(seed)
    found: Counter[tuple[str, ...]] = Counter()
    inputs = out / "inputs" / "demo"
    shutil.rmtree(inputs, ignore_errors=True)
    for name, verb, folder in hospital(inputs, patients, workers):
        bench = Bench(name, verb, inputs, folder, out / "trial")
        of_verb = KILLS if workers == 1 or name == "ingest" else KILLS_OF_SEVERAL
        kinds = [of_verb[n % 2] for n in range(kills // 4)] + [ERRORS[n % 3] for n in range(errors // 4)]
        for kind in kinds:
            faults = [bench.draw(rng, kind)]
            if rng.random() < 1 / 3:
                faults.append(bench.draw(rng, rng.choice(of_verb + ERRORS[:2])))
            outcome = bench.trial(faults)
            found[name, kind, outcome] += 1
            if outcome not in GOOD:
                print(name, faults, outcome, flush=True)
        for _ in range(disks // 4):
            found[name, "small_disk", bench.small_disk(rng)] += 1
        print(f"{name}: {bench.writes} changes and {bench.reads} reads, {bench.seconds:.2f} s", flush=True)
        # In a child, too: what a verb leaves in this process would be inherited by every child after it.
        if (ended := run_child(lambda: verb(inputs), inputs, None)).code:  # noqa: B023
            raise SystemExit(f"{name} does not run: {ended.said}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    sizes = {"patients": 12, "kills": 240, "errors": 240, "disks": 24, "seed": 1, "workers": 1}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    code = args.out.resolve() / "code"
    if os.environ.get("PYTHONPATH") != str(code):
        # A copy: whoever edits the package meanwhile would change the digest of the code in the manifests.
        shutil.rmtree(code, ignore_errors=True)
        shutil.copytree(REPOSITORY / "p2med", code / "p2med")
        os.environ["PYTHONPATH"] = str(code)
        os.execv(sys.executable, [sys.executable, __file__, *sys.argv[1:]])
    found = run(args.out, args.patients, args.kills, args.errors, args.disks, args.seed, args.workers)
    for (verb, kind, outcome), n in sorted(found.items()):
        print(f"{verb:8}{kind:16}{n:5}  {outcome}")
    wrong = sum(n for (_, _, outcome), n in found.items() if outcome not in GOOD)
    print(f"{sum(found.values())} trials, {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
