"""Which outpatient records go as near-duplicates, how many of each disease, and pairs to look at."""

import difflib
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from p2med.clinical.diagnoses import extract
from p2med.curate.config import DedupConfig
from p2med.curate.dedup import RANK, Decisions, deduplicate, gathered, verdict
from p2med.schema.base import Frozen
from p2med.schema.terms import Section

CHUNK = 4096
SHOWN = 40
"""Pairs on the page, spread evenly over the Jaccard values."""

Key = tuple[str, str]
"""(case_id, record_id)."""


class Pair(Frozen):
    """A record that went and the kept one that it repeats."""

    removed_id: str
    kept_id: str
    jaccard: float
    removed: str
    kept: str


class OutpatientTexts:
    """Collects the records of the first pass and decides on all of them at once."""

    def __init__(self):
        self._keys: list[Key] = []
        self._splits: list[str] = []
        self._diagnoses: list[tuple[str, ...]] = []
        self._chunks: list[pa.Array] = []
        self._texts: list[str] = []
        self.pairs: list[Pair] = []

    def add(self, key: Key, sections: Mapping[str, str], split: str) -> None:
        """One record; its text is that of all its sections."""
        self._keys.append(key)
        self._splits.append(split)
        self._diagnoses.append(extract(sections.get(Section.PRELIMINARY_DIAGNOSIS, "")))
        self._texts.append("\n".join(sections[s] for s in sections))
        if len(self._texts) == CHUNK:
            self._close_chunk()

    def _close_chunk(self) -> None:
        self._chunks.append(pa.array(self._texts, pa.large_string()))
        self._texts = []

    def decide(
        self, config: DedupConfig, threads: int = 0
    ) -> tuple[dict[Key, tuple[str, str]], dict[str, Any]]:
        """(for each record that goes, its reason and the id of the kept one or ""; notes for the manifest).

        The reasons are those of `verdict`.
        """
        self._close_chunk()
        texts = gathered(self._chunks)
        ids = ["/".join(key) for key in self._keys]
        ranks = np.array([RANK[s] for s in self._splits], np.int64)
        decisions = deduplicate(texts, config, ranks=ranks, ids=ids, threads=threads)
        faults: dict[Key, tuple[str, str]] = {}
        for n in np.flatnonzero(~decisions.kept).tolist():
            reason, original = verdict(decisions, n, self._splits)
            faults[self._keys[n]] = (reason, self._keys[original][1] if original >= 0 else "")
        self.pairs = self._examples(texts, decisions)
        reasons = Counter("kept" if k not in faults else faults[k][0] for k in self._keys)
        notes = {"records": len(self._keys), **dict(sorted(reasons.items()))}
        below = int(((decisions.original >= 0) & (decisions.jaccard < config.min_jaccard)).sum())
        if not config.verify:
            notes["removed_below_min_jaccard"] = below
        return faults, {**notes, "diseases": self._by_disease(decisions)}

    def _by_disease(self, decisions: Decisions) -> dict[str, dict[str, int]]:
        """{disease: {"kept": …, "removed": …}}, the commonest before removal first."""
        kept: Counter[str] = Counter()
        removed: Counter[str] = Counter()
        for labels, stays in zip(self._diagnoses, decisions.kept.tolist(), strict=True):
            (kept if stays else removed).update(labels)
        total = kept + removed
        return {
            d: {"kept": kept[d], "removed": removed[d]} for d in sorted(total, key=lambda d: (-total[d], d))
        }

    def _examples(self, texts: pa.LargeStringArray, decisions: Decisions) -> list[Pair]:
        """SHOWN pairs from the least to the most alike; equal texts are left out, they show nothing."""
        near = np.flatnonzero((decisions.original >= 0) & (decisions.jaccard < 1)).tolist()
        near.sort(key=lambda n: (decisions.jaccard[n], self._keys[n]))
        return [
            Pair(
                removed_id=self._keys[n][1],
                kept_id=self._keys[int(decisions.original[n])][1],
                jaccard=round(float(decisions.jaccard[n]), 4),
                removed=texts[n].as_py(),
                kept=texts[int(decisions.original[n])].as_py(),
            )
            for n in (near[i] for i in spread(len(near), SHOWN))
        ]


def spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` places spread evenly over 0..count-1, both ends among them."""
    if count <= wanted:
        return list(range(count))
    return [round(k * (count - 1) / (wanted - 1)) for k in range(wanted)]


STYLE = """body{font:15px/1.5 system-ui,"Noto Sans CJK SC",sans-serif;margin:2em;color:#222}
table{border-collapse:collapse;width:100%;table-layout:fixed;margin-bottom:1.5em}
td,th{border:1px solid #ccc;padding:.5em;vertical-align:top;text-align:left;white-space:pre-wrap}
del{background:#fdd;text-decoration:none}ins{background:#dfd;text-decoration:none}"""


def side_by_side(pairs: Sequence[Pair], title: str = "Near-duplicates 近似重复") -> str:
    """An HTML page; what only one of the two records says is marked."""
    rows = []
    for p in pairs:
        kept, removed = marked(p.kept, p.removed)
        rows.append(
            f"<table><tr><th>kept 保留 {html.escape(p.kept_id)}</th>"
            f"<th>removed 删除 {html.escape(p.removed_id)} · Jaccard {p.jaccard:.4f}</th></tr>"
            f"<tr><td>{kept}</td><td>{removed}</td></tr></table>"
        )
    return (
        f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>\n" + "\n".join(rows) + "</html>\n"
    )


def marked(kept: str, removed: str) -> tuple[str, str]:
    """Both texts as HTML, with <del> what only the kept one says and <ins> what only the removed one says."""
    left, right = [], []
    for what, a, b, c, d in difflib.SequenceMatcher(None, kept, removed, autojunk=False).get_opcodes():
        one, other = html.escape(kept[a:b]), html.escape(removed[c:d])
        left.append(one if what == "equal" or not one else f"<del>{one}</del>")
        right.append(other if what == "equal" or not other else f"<ins>{other}</ins>")
    return "".join(left), "".join(right)
