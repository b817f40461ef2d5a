"""Verb 2: IdentifiedCase -> Case. Identity leaves headers, texts, dates, pixels, or the item does not pass.

1_ingest/items-*.parquet -> 2_deid/ items-*.parquet  volumes/<series>.npy  rejected.parquet
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from p2med import store
from p2med.arrow import from_table
from p2med.deid.audit import audit, numbers_of
from p2med.deid.burned_in_ocr import require_ocr
from p2med.deid.clean import Cleaned, Cleaner
from p2med.deid.config import DeidConfig
from p2med.deid.pseudonym import PUBLIC_KEY, read_key
from p2med.deid.text import fold
from p2med.pool import in_order, workers
from p2med.progress import say, track
from p2med.schema.case import Case
from p2med.schema.identified import IdentifiedCase

CODE = ("deid", "imaging", "guard.py", "guard_child.py", "schema", "store.py", "files.py", "arrow.py")


def run(config: DeidConfig, root: Path) -> store.Manifest:
    """Clean every case and search the result.

    Raises:
      RecipeError: the key is missing or wrong. P2MedError: the OCR detector is wanted and not installed.
      PhiError: the last search found an identity; the folder stays unfinished.
    """
    if config.ocr:
        require_ocr()
    source = store.require(root, "ingest")
    key = PUBLIC_KEY if config.public_data else read_key(store.resolve(config.key_file or "", root))
    folder = store.verb_folder(root, "deid")
    writer = store.FolderWriter(folder, "deid", config, ["ingest"], store.code_digest(*CODE))
    if writer.finished and writer.manifest:
        say("deid: up to date")
        return writer.manifest
    shards = store.shard_paths(source)
    todo = [n for n in range(len(shards)) if not writer.has(n)]
    cleaner = Cleaner(key, root, config.max_date_shift_days, config.burned_in_text, config.ocr)
    cases = [c for n in todo for c in from_table(pq.read_table(shards[n]), IdentifiedCase)]
    sizes = {n: pq.read_metadata(shards[n]).num_rows for n in todo}
    replaced: Counter[str] = Counter()
    done = track(_clean_all(cleaner, cases, config.workers), "deid", total=len(cases))
    for n in todo:
        results = [next(done) for _ in range(sizes[n])]
        _write(writer, n, results)
        for r in results:
            replaced.update(r.replaced)
    numbers, names = _identities(source)
    searched = audit(folder, numbers, names)
    count = len(numbers) + len(names)
    say(f"deid: {searched} texts and file names searched for {count} identities, none found")
    return writer.finish(notes={"audit": {"texts_searched": searched, "identities": count}})


def _write(writer: store.FolderWriter, shard: int, results: list[Cleaned]) -> None:
    entered: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for r in results:
        entered.update(r.entered)
        passed.update(r.passed)
    cases = [r.case for r in results if r.case is not None]
    rejected = [x for r in results for x in r.rejected]
    writer.write(shard, cases, Case, rejected, dict(entered), dict(passed))


def _clean_all(cleaner: Cleaner, cases: list[IdentifiedCase], count: int) -> Iterator[Cleaned]:
    """In order, whatever the number of processes."""
    with workers(count, jobs=max(1, len(cases) // 4)) as pool:
        yield from in_order(pool, cleaner.clean, cases)


def _identities(source: Path) -> tuple[set[str], set[str]]:
    numbers: set[str] = set()
    names: set[str] = set()
    for case in store.read_items(source, IdentifiedCase):
        numbers |= numbers_of([case.patient])
        folded = ("".join(fold(name).split()) for name in case.patient.names)
        names |= {n for n in folded if 3 <= len(n) <= 4 and not n.isascii()}
    return numbers, names
