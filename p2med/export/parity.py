"""Do two of train -> merge -> export -> serve give the same? If not: which tensor differs first.

  processor   token ids, positions, stop token, pixels       bit for bit
  weights     every tensor of both folders                   as far as rounding to the format can go
  on the way  encoder, connector, embeddings, linear layers  norm of the difference, by the coarser format
  logits      after the prompt and after each token of the first side's answer, as they are served
  tokens      the greedy answers of both

Weights are judged number by number, so that a fault in one of hundreds shows however coarse the format is.
With a server on one side the prompt's length and the greedy answers are compared, and must be the same.
"""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from p2med.errors import ModelError
from p2med.export.compare import Difference, differ, differ_in_weights, tolerance_of
from p2med.export.samples import Sample
from p2med.export.sides import Local, Server, Weights
from p2med.progress import track

TRACED = 2
"""Samples whose tensors are compared one by one; of the others logits and tokens."""


@dataclass(frozen=True)
class Tokens:
    """The greedy answers of one sample, stop token included.

    `first`: number of the first token that differs, None: none does. `agree`: how often the second side's
    choice after the first side's words is the first side's; a server does not say.
    """

    sample: str
    total: int
    first: int | None
    agree: int | None
    explained: bool
    """True: equal, or no other difference than that of the logits, which are judged by themselves."""

    def record(self) -> dict[str, Any]:
        return self.__dict__


@dataclass(frozen=True)
class Parity:
    a: str
    b: str
    differences: tuple[Difference, ...]
    tokens: tuple[Tokens, ...]
    left_out: int
    """Samples that one side cannot take."""

    @property
    def first(self) -> str | None:
        """What differs first in the order of computation, with its figures; None: nothing."""
        wrong = next((d for d in self.differences if not d.equal), None)
        if wrong is not None:
            return str(wrong)
        token = next((t for t in self.tokens if not t.explained), None)
        return None if token is None else f"greedy token {token.first} of sample {token.sample!r}"

    def record(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "first": self.first,
            "differences": [d.record() for d in self.differences],
            "tokens": [t.record() for t in self.tokens],
            "left_out": self.left_out,
        }


def parity(a: Local | Server, b: Local | Server, samples: Sequence[Sample], new_tokens: int) -> Parity:
    """Compare two sides.

    Raises:
      ModelError: both are servers, or no sample is left that both can take.
    """
    if isinstance(a, Server) and isinstance(b, Server):
        raise ModelError("two servers show only their answers; compare each with the folder that it serves")
    if isinstance(a, Server):
        a, b = b, a
    assert isinstance(a, Local)
    taken = [s for s in samples if a.fits(s, new_tokens)]
    if isinstance(b, Server):
        taken = [s for s in taken if s.messages() is not None]
    else:
        taken = [s for s in taken if b.fits(s, new_tokens)]
    if not taken:
        raise ModelError("no sample is left that both sides can take")
    left_out = len(samples) - len(taken)
    if isinstance(b, Server):
        return _with_server(a, b, taken, new_tokens, left_out)
    return _local(a, b, taken, new_tokens, left_out)


# ---------------------------------------------------------------- two folders


def _local(a: Local, b: Local, samples: Sequence[Sample], new_tokens: int, left_out: int) -> Parity:
    found = list(_processed(a, b, samples))
    if not all(d.equal for d in found):  # what comes after would be about another question
        return Parity(str(a), str(b), tuple(found), (), left_out)
    found += _weights(a.weights(), b.weights())
    tolerance = tolerance_of(a.precision, b.precision)
    answers = [a.choices(s, new_tokens) for s in track(samples, "parity, first side")]
    asked = list(zip(samples, answers, strict=True))
    mine = [a.logits(s, ids) for s, ids in asked]
    others = [b.choices(s, new_tokens) for s in track(samples, "parity, second side")]
    theirs = [b.logits(s, ids) for s, ids in asked]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n}.safetensors" for n in range(min(TRACED, len(samples)))]
        names = [_keep(a, *one, path) for one, path in zip(asked, paths, strict=False)]
        for one, order, path in zip(asked, names, paths, strict=False):
            found += _on_the_way(a, b, *one, order, path)
    logits = zip(samples, mine, theirs, strict=True)
    found += [differ("logits", "logits", s.name, x, y, tolerance) for s, x, y in logits]
    each = zip(samples, answers, others, theirs, strict=True)
    tokens = tuple(_tokens(s.name, x, y, z, tolerance) for s, x, y, z in each)
    return Parity(str(a), str(b), tuple(found), tokens, left_out)


def _processed(a: Local, b: Local, samples: Sequence[Sample]) -> Iterator[Difference]:
    for sample in samples:
        mine, other = a.processed(sample), b.processed(sample)
        for name in [*mine, *(n for n in other if n not in mine)]:
            nothing = torch.empty(0)
            yield differ(
                "processor", name, sample.name, mine.get(name, nothing), other.get(name, nothing), 0.0
            )


def _weights(a: Weights, b: Weights) -> Iterator[Difference]:
    for name in track(a.names, "parity, weights"):
        if name not in b.names:
            yield differ_in_weights(name, torch.ones(1), torch.empty(0), 0.0)
            continue
        mine, other = a[name], b[name]
        yield differ_in_weights(name, mine, other, a.bound(name, mine) + b.bound(name, mine))


def _keep(side: Local, sample: Sample, answer: Sequence[int], path: Path) -> list[str]:
    """Put a side's tensors on disk: two sides' do not fit in memory for a true model."""
    tensors = dict(side.trace(sample, answer))
    save_file({n: t.contiguous() for n, t in tensors.items()}, path)
    return list(tensors)


def _on_the_way(
    a: Local, b: Local, sample: Sample, answer: Sequence[int], names: list[str], path: Path
) -> Iterator[Difference]:
    with safe_open(path, "pt") as mine:
        for name, (other, tensor) in itertools.zip_longest(
            names, b.trace(sample, answer), fillvalue=("", None)
        ):
            before = mine.get_tensor(name) if name else torch.empty(0)
            of = tensor if isinstance(tensor, Tensor) and other == name else torch.empty(0)
            tolerance = tolerance_of(a.precision, b.precision, name)
            yield differ("on the way", name, sample.name, before, of, tolerance)


def _tokens(sample: str, a: Sequence[int], b: Sequence[int], logits: Tensor, tolerance: float) -> Tokens:
    """Compare two answers, each with the stop token.

    Args:
      logits: the second side's after each of `a`'s tokens, in one pass, float[1 + len(a), V].
    """
    first = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    agree = int((logits[: len(a)].argmax(-1) == torch.tensor(a)).sum())
    if first is None:
        return Tokens(sample, len(a), None, agree, True)
    here = logits[first].double()
    # Up to here both wrote the same, so that one pass must lead the second side to the token that it chose
    # step by step; that it is not the first side's is then what the logits, judged before, make of it.
    behind = float(here.max() - here[b[first]])
    explained = behind <= tolerance * float(here.norm()) / len(here) ** 0.5
    return Tokens(sample, len(a), first, agree, explained)


# ---------------------------------------------------------------- a folder and a server


def _with_server(a: Local, b: Server, samples: Sequence[Sample], new_tokens: int, left_out: int) -> Parity:
    found: list[Difference] = []
    tokens: list[Tokens] = []
    for sample in track(samples, "parity"):
        ids = a.greedy(sample, new_tokens)
        said, counted = b.greedy(sample, new_tokens)
        length = torch.tensor([a.processed(sample)["input_ids"].shape[1]])
        found.append(
            differ("processor", "length of input_ids", sample.name, length, torch.tensor([counted]), 0.0)
        )
        text_of = a.generator.processor.text_of
        first = next((n for n in range(len(ids)) if not said.startswith(text_of(ids[: n + 1]))), None)
        if first is None and said != text_of(ids):
            first = len(ids)
        tokens.append(Tokens(sample.name, len(ids), first, None, first is None))
    return Parity(str(a), str(b), tuple(found), tuple(tokens), left_out)


# ---------------------------------------------------------------- for a reader


def table(found: Parity) -> str:
    """A line a stage, then the greedy answers."""
    lines = [f"A  {found.a}", f"B  {found.b}", ""]
    for stage in dict.fromkeys(d.stage for d in found.differences):
        of = [d for d in found.differences if d.stage == stage]
        worst = max(of, key=lambda d: d.relative / d.tolerance if d.tolerance else d.relative)
        wrong = sum(not d.equal for d in of)
        verdict = (
            f"{wrong} beyond the tolerance" if wrong else "equal" if not worst.largest else "within tolerance"
        )
        lines.append(f"{stage:11} {len(of):5} compared, {verdict}")
        if worst.largest:
            figures = f"max {worst.largest:.3g}, mean {worst.mean:.3g}, relative {worst.relative:.3g}"
            lines.append(f"{'':17} widest: {worst.name}: {figures} (tolerance {worst.tolerance:.3g})")
    if found.tokens:
        whole = sum(t.first is None for t in found.tokens)
        lines.append(f"tokens      {len(found.tokens):5} greedy answers, {whole} the same to the last token")
        agree, total = sum(t.agree or 0 for t in found.tokens), sum(t.total for t in found.tokens)
        if total and all(t.agree is not None for t in found.tokens):
            share = f"{agree} of {total} ({100 * agree / total:.1f} %)"
            lines.append(f"{'':17} after A's words B's next token is A's at {share}")
        lines += [f"{'':17} {t.sample}: from token {t.first} on" for t in found.tokens if t.first is not None]
    if found.left_out:
        lines.append(f"{found.left_out} samples left out: one side cannot take them")
    return "\n".join(lines)
