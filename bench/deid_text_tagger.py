"""Train p2med/deid/tagger.npz, the network over characters of p2med/deid/tagger.py.

    P2MED_DATA=../shared/data python bench/deid_text_tagger.py DICT_TXT [--writers 1 2 ...] [--out FILE]

DICT_TXT is jieba's (MIT). The network learns with the rounding that it will have when it is used: weights in
steps of 1/128, activations in steps of 1/16. Same seed, same code (the rules choose the questions in which
nobody is named), same torch and processor: the same file. 2,400 steps take six minutes on a shared core.
"""

import argparse
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deid_text_tagger_cases import UNKNOWN, Maker
from torch.nn import functional

from p2med.deid.language import language
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES
from p2med.deid.tagger import (
    DILATIONS,
    KINDS,
    MOST,
    SHIFT,
    character_index,
    pair_levels,
    term_places,
    word_edges,
)

OUT = Path(__file__).parents[1] / "p2med" / "deid" / "tagger.npz"
EMBEDDED, WIDTH = 64, 96
STEP, SUM_STEP = 16.0, 16.0 * SHIFT
BATCH = 48
SEEN = [1, 2, 3, 5, 7, 9, 10, 13, 14, 15, 16]
"""Writers whose notes may be looked at; 4, 6 and 8 are for measuring."""
FORGOTTEN = 0.04
"""So often a character is replaced by `unknown`, so that the network learns to do without it."""
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
        for table in (self.chars, self.marks, self.pairs, self.terms, self.edges):
            torch.nn.init.normal_(table.weight, std=0.4)
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
        """(batch, length, kinds) of rows, pairs, terms and edges; `real` is 0 behind the end of a text."""
        x = functional.embedding(found[0], self.table())
        for numbers, table in zip(found[1:], (self.pairs, self.terms, self.edges), strict=True):
            x = x + functional.embedding(numbers, rounded(table.weight, STEP, -MOST, MOST))
        # bfloat16 holds such steps exactly and is five times as fast; its sums are a little less exact.
        real = real.bfloat16()
        x = x.clamp(-MOST / STEP, MOST / STEP).bfloat16() * real
        for n, (w, b, step) in enumerate(zip(self.weights, self.biases, DILATIONS, strict=True)):
            wide = functional.pad(x, (0, 0, step, step))
            size = x.shape[1]
            near = torch.cat([wide[:, :size], x, wide[:, 2 * step : 2 * step + size]], dim=2)
            y = torch.matmul(near, rounded(w, SHIFT, -MOST, MOST).bfloat16()) + b.bfloat16()
            y = rounded(y, STEP, 0.0, MOST)
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


def batch(
    maker: Maker, index: dict[str, int], r: random.Random, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    made = [maker.example() for _ in range(size)]
    length = max(len(text) for text, _ in made)
    found = torch.zeros(5, size, length, dtype=torch.long)
    found[4] = UNKNOWN
    for n, (text, kinds) in enumerate(made):
        rows = [character_index(c, index) for c in text]
        rows = [
            len(index) if r.random() < FORGOTTEN and "\u4e00" <= c else row
            for c, row in zip(text, rows, strict=True)
        ]
        levels = [rows, pair_levels(text), term_places(text), word_edges(text, maker.words), kinds]
        found[:, n, : len(text)] = torch.tensor(levels)
    real = torch.zeros(size, length, 1)
    for n, (text, _) in enumerate(made):
        real[n, : len(text)] = 1
    return found, real


def train(maker: Maker, steps: int, seed: int) -> Net:
    torch.manual_seed(seed)
    r = random.Random(seed)
    net = Net(vocabulary())
    index = {c: n for n, c in enumerate(net.characters)}
    learner = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98))
    plan = torch.optim.lr_scheduler.OneCycleLR(learner, 4e-3, total_steps=steps, pct_start=0.1)
    began, total = time.time(), 0.0
    for step in range(steps):
        found, real = batch(maker, index, r, BATCH)
        odds = net(found[:4], real)
        loss = functional.cross_entropy(odds.flatten(0, 1), found[4].flatten(), ignore_index=UNKNOWN)
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
    texts = {
        "vocabulary": np.array(net.characters),
        "words": np.array("".join(w.ljust(5) for w in sorted(words))),
    }
    np.savez_compressed(path, **texts, **net.arrays())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dictionary", type=Path)
    parser.add_argument("--writers", type=int, nargs="+", default=SEEN)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = Path(os.environ.get("P2MED_DATA", "../shared/data"))
    maker = Maker(options.writers, options.dictionary, data, options.seed)
    save(train(maker, options.steps, options.seed), maker.words, options.out)
    print(f"{options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
