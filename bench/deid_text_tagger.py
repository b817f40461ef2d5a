"""Train p2med/deid/tagger.npz, the network over characters of p2med/deid/tagger.py.

    export P2MED_DATA=../shared/data
    python bench/deid_text_tagger.py DICT_TXT --seed 1 --out ONE.npz [--without a1 b2]
    python bench/deid_text_tagger.py DICT_TXT --seed 2 --out TWO.npz
    python bench/deid_text_tagger.py --join ONE.npz TWO.npz

DICT_TXT is jieba's (MIT). A network learns with the rounding that it will have when it is used: weights in
steps of 1/128, activations in steps of 1/16. Same seed, same code (the rules tell it what they find), same
torch and processor: the same file. 9,000 steps take a quarter of an hour on two cores.
"""

import argparse
import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deid_text_tagger_cases import RULES, UNKNOWN, Maker
from torch.nn import functional

from p2med.deid.folding import fold
from p2med.deid.known import Known
from p2med.deid.language import language
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES
from p2med.deid.tagger_network import (
    DILATIONS,
    KINDS,
    MOST,
    SHIFT,
    Rows,
    Words,
    bigram_rows,
    code_points,
    pair_levels,
    rule_marks,
    term_places,
)
from p2med.deid.text import by_rules, rule_spans

OUT = Path(__file__).parents[1] / "p2med" / "deid" / "tagger.npz"
EMBEDDED, WIDTH, BIGRAMS = 64, 80, 16384
STEP, SUM_STEP = 16.0, 16.0 * SHIFT
BATCH = 48
NAME = KINDS.index("name")
UNTOLD = 0.25
"""So often the network is not told what the rules say, since they were mended on some of these notes."""
DROPPED = 0.07
FORGOTTEN, FORGOTTEN_IN_NAMES = 0.03, 0.08
"""So often a character is replaced by `unknown`: what no table has mostly stands in names."""
SIGNS = "，。；：、（）()[]【】{}“”\"'‘’/\\-—–_+*=<>≤≥%℃°~～·•.,;:!?！？#@&|^$"
SIGNS += " \n\t\u3000①②③④⑤αβγμ×÷±→↑↓ⅠⅡⅢⅣ√□☑✓…《》"


def vocabulary() -> str:
    """Characters with a row of their own: those of the tables, digits, letters, signs."""
    known = language()
    found = {*known.char, *known.given, *SURNAMES, *"".join(COMPOUND_SURNAMES), *SIGNS}
    return "".join(sorted(found | set("0123456789abcdefghijklmnopqrstuvwxyz")))


class Rounded(torch.autograd.Function):
    """x in whole steps of 1/steps; inside the limits the gradient passes as if it were not rounded."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, steps: float, least: float, most: float) -> torch.Tensor:
        ctx.save_for_backward((x >= least / steps) & (x <= most / steps))
        return torch.floor(x * steps + 0.5).clamp_(least, most).div_(steps)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return gradient * ctx.saved_tensors[0], None, None, None


rounded = Rounded.apply


class Net(torch.nn.Module):
    """What p2med.deid.tagger computes with integers, for gradients."""

    def __init__(self, characters: str) -> None:
        super().__init__()
        self.characters = characters
        self.chars = torch.nn.Embedding(len(characters) + 3, EMBEDDED)
        self.marks = torch.nn.Embedding(64, EMBEDDED)
        self.pairs = torch.nn.Embedding(8, EMBEDDED)
        self.terms = torch.nn.Embedding(3, EMBEDDED)
        self.edges = torch.nn.Embedding(16, EMBEDDED)
        self.rules = torch.nn.Embedding(17, EMBEDDED)
        self.bigrams = torch.nn.Embedding(BIGRAMS, EMBEDDED)
        for table in (self.chars, self.marks, self.pairs, self.terms, self.edges, self.rules):
            torch.nn.init.normal_(table.weight, std=0.4)
        torch.nn.init.normal_(self.bigrams.weight, std=0.05)
        widths = [EMBEDDED] + [WIDTH] * len(DILATIONS)
        self.weights = torch.nn.ParameterList(
            torch.nn.Parameter(torch.randn(3 * a, b) * (2 / (3 * a)) ** 0.5)
            for a, b in zip(widths, widths[1:], strict=False)
        )
        self.biases = torch.nn.ParameterList(torch.nn.Parameter(torch.zeros(WIDTH)) for _ in DILATIONS)
        self.last = torch.nn.Linear(WIDTH, len(KINDS))
        self.register_buffer("traits", torch.tensor([traits(c) for c in [*characters, "", "", ""]]))

    def table(self) -> torch.Tensor:
        """The rows of the characters, with what is known of each added."""
        row = self.chars.weight + self.marks(self.traits).sum(1)
        return rounded(row, STEP, -MOST, MOST)

    def forward(self, found: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """(batch, length, kinds); `found` as Batches has it, `real` is 0 behind the end of a text."""
        x = functional.embedding(found[0], self.table())
        for numbers, table in zip(found[1:], (self.pairs, self.terms, self.edges, self.rules), strict=True):
            x = x + functional.embedding(numbers, rounded(table.weight, STEP, -MOST, MOST))
        pairs = bigram_rows(functional.pad(found[0][:, :-1], (1, 0)), found[0], BIGRAMS)
        if self.training:
            pairs = pairs * (torch.rand(pairs.shape) > 0.1)
        x = x + functional.embedding(pairs, rounded(self.bigrams.weight, STEP, -MOST, MOST))
        # bfloat16 holds such steps exactly and is five times as fast; its sums are a little less exact.
        real = real.bfloat16()
        x = x.clamp(-MOST / STEP, MOST / STEP).bfloat16() * real
        for n, (w, b, step) in enumerate(zip(self.weights, self.biases, DILATIONS, strict=True)):
            wide = functional.pad(x, (0, 0, step, step))
            size = x.shape[1]
            near = torch.cat([wide[:, :size], x, wide[:, 2 * step : 2 * step + size]], dim=2)
            y = torch.matmul(near, rounded(w, SHIFT, -MOST, MOST).bfloat16()) + b.bfloat16()
            y = functional.dropout(rounded(y, STEP, 0.0, MOST), DROPPED, self.training)
            x = (y if n == 0 else x + y).clamp(max=MOST / STEP) * real
        return x.float() @ rounded(self.last.weight, SHIFT, -MOST, MOST).T + self.last.bias

    @torch.no_grad()
    def arrays(self) -> dict[str, np.ndarray]:
        def whole(x: torch.Tensor, steps: float, most: float) -> np.ndarray:
            return torch.floor(x.clamp(-most / steps, most / steps) * steps + 0.5).numpy()

        found = {
            "chars": (self.table() * STEP).round().numpy().astype(np.int8),
            "pairs": whole(self.pairs.weight, STEP, MOST).astype(np.int8),
            "terms": whole(self.terms.weight, STEP, MOST).astype(np.int8),
            "edges": whole(self.edges.weight, STEP, MOST).astype(np.int8),
            "rules": whole(self.rules.weight, STEP, MOST).astype(np.int8),
            "bigrams": whole(self.bigrams.weight, STEP, MOST).astype(np.int8),
            "last_w": whole(self.last.weight.T, SHIFT, MOST).astype(np.int8),
            "last_b": whole(self.last.bias, SUM_STEP, 2.0**19).astype(np.int32),
        }
        for n, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            found[f"w{n}"] = whole(w, SHIFT, MOST).astype(np.int8)
            found[f"b{n}"] = whole(b, SUM_STEP, 2.0**19).astype(np.int32)
        return found


def traits(c: str) -> list[int]:
    """Family name, given name, frequency, kind: how likely the character is as each, in steps."""
    known = language()
    surname = known.surname.get(c)
    surname_level = 0 if surname is None else 1 + int(min(6, max(0, surname + 10)))
    compound = any(c in s for s in COMPOUND_SURNAMES) if c else False
    given = known.given.get(c)
    given_level = 10 + (0 if given is None else 1 + int(min(6, max(0, given + 11.5))))
    char = known.char.get(c)
    char_level = 20 + (0 if char is None else 1 + int(min(7, max(0, char + 12.5))))
    kind = 30 + (
        0 if not c else 1 if c.isdigit() else 2 if c.isascii() and c.isalpha() else 3 if c.isalpha() else 4
    )
    return [surname_level, given_level, char_level, kind, 40 + compound]


class Batches:
    """Batches by their number: the same one whichever process makes it."""

    def __init__(self, maker: Maker, characters: str, seed: int) -> None:
        self.maker, self.seed = maker, seed
        self.rows, self.words = Rows(characters), Words(maker.words)
        self.unknown = len(characters)

    def __call__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(6, batch, length) rows, pairs, terms, edges, rules and kinds; (batch, length, 1) what is text."""
        r = self.maker.r = random.Random(f"{self.seed} {number}")
        made = [self.maker.example() for _ in range(BATCH)]
        length = max(len(text) for text, _ in made)
        found, real = np.zeros((6, BATCH, length), np.int64), np.zeros((BATCH, length, 1), np.float32)
        found[5] = UNKNOWN
        for n, (text, kinds) in enumerate(made):
            folded = fold(text)
            codes = code_points(folded)
            rows = self.rows(codes)
            often = np.where(np.array(kinds) == NAME, FORGOTTEN_IN_NAMES, FORGOTTEN)
            lost = [r.random() < p and "\u4e00" <= c for c, p in zip(folded, often, strict=True)]
            rows[lost] = self.unknown
            marks = [0] * len(text) if r.random() < UNTOLD else marks_of(folded, text)
            seen = pair_levels(codes), term_places(folded), self.words.edges(codes)
            found[:, n, : len(text)] = [rows, *seen, marks, kinds]
            real[n, : len(text)] = 1
        return found, real


def marks_of(folded: str, text: str) -> list[int]:
    return rule_marks(len(text), rule_spans(by_rules(folded, text, Known(), -77, None, RULES)))


def made_by(batches: Batches, steps: int, workers: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    global _BATCHES
    _BATCHES = batches
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from pool.imap(_made, range(steps), chunksize=4)


def _made(number: int) -> tuple[np.ndarray, np.ndarray]:
    return _BATCHES(number)


def train(maker: Maker, steps: int, seed: int, workers: int) -> Net:
    torch.manual_seed(seed)
    net = Net(vocabulary())
    learner = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98))
    plan = torch.optim.lr_scheduler.OneCycleLR(learner, 4e-3, total_steps=steps, pct_start=0.1)
    began, total = time.time(), 0.0
    batches = made_by(Batches(maker, net.characters, seed), steps, workers)
    for step, (found, real) in enumerate(batches):
        kinds = torch.from_numpy(found[5]).flatten()
        odds = net(torch.from_numpy(found[:5]), torch.from_numpy(real)).flatten(0, 1)
        loss = functional.cross_entropy(odds, kinds, ignore_index=UNKNOWN)
        learner.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        learner.step()
        plan.step()
        total += loss.item()
        if step % 100 == 99:
            print(f"{step + 1} {total / 100:.4f} {time.time() - began:.0f} s", flush=True)
            total = 0.0
    return net


def save(net: Net, words: frozenset[str], path: Path) -> None:
    found = {"vocabulary": np.array(net.characters), "words": np.array(" ".join(sorted(words)))}
    np.savez_compressed(path, **found, **{f"0.{name}": array for name, array in net.arrays().items()})


def join(parts: list[Path], path: Path) -> None:
    """Networks of the same vocabulary and words in one file."""
    found: dict[str, np.ndarray] = {}
    for n, part in enumerate(parts):
        arrays = dict(np.load(part, allow_pickle=False))
        if n and any(arrays[name] != found[name] for name in ("vocabulary", "words")):
            raise SystemExit(f"{part}: trained on other words than {parts[0]}")
        found |= {name.replace("0.", f"{n}.", 1): array for name, array in arrays.items()}
    np.savez_compressed(path, **found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dictionary", type=Path, nargs="?")
    parser.add_argument("--join", type=Path, nargs="+", help="networks to put into one file; trains nothing")
    parser.add_argument("--without", nargs="*", default=[], help="writers left out, to measure with: a3 b11")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes that make examples")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.join:
        join(options.join, options.out)
        return
    torch.set_num_threads(options.threads)
    data = Path(os.environ.get("P2MED_DATA", "../shared/data"))
    maker = Maker(options.without, options.dictionary, data)
    save(train(maker, options.steps, options.seed, options.workers), maker.words, options.out)
    print(f"{options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
