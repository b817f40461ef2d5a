"""Does a checkpoint's answer depend on its image, the right image, the right way up?

A report writer whose vision weights were skipped at load still writes fluent, plausible reports. So the gate
lets the checkpoint answer held-out questions with the images as they are and with changed ones, and compares
what the conclusions say: F1 of the diseases and the side against the doctor's, answer by answer. `gain` is
what the image as it is brings over the changed one, with its 95 % t-interval:

    must be above 0       blank, noise, another patient's image
    must not be below 0   mirrored (where a side is named), slices shuffled, images in reverse order, earlier
                          rounds left out; inverted and rescaled pixels (who likes those was taught others)
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2med import store
from p2med.bench.rounds import Round, rounds, swapped
from p2med.bench.stats import mean_ci95
from p2med.clinical.diagnoses import extract
from p2med.errors import DataError
from p2med.model.generate import Generator
from p2med.progress import track
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation
from p2med.schema.terms import split_sections

Change = Callable[[np.ndarray, random.Random], np.ndarray]
MUST_HELP = ("blank", "noise", "swapped")
BATCH, MAX_NEW_TOKENS = 32, 220
LEAST = 5
"""Fewer pairs than this say nothing about a condition."""


def _blank(pixels: np.ndarray, dice: random.Random) -> np.ndarray:
    return np.zeros_like(pixels)


def _noise(pixels: np.ndarray, dice: random.Random) -> np.ndarray:
    return np.random.default_rng(dice.getrandbits(32)).random(pixels.shape).astype(pixels.dtype)


def _shuffled(pixels: np.ndarray, dice: random.Random) -> np.ndarray:
    return pixels[dice.sample(range(len(pixels)), len(pixels))]


PIXELS: dict[str, Change] = {
    "blank": _blank,
    "noise": _noise,
    "mirrored": lambda pixels, dice: pixels[..., ::-1].copy(),
    "shuffled": _shuffled,
    "inverted": lambda pixels, dice: 1 - pixels,
    "times_255": lambda pixels, dice: pixels.astype(np.float32) * 255,
    "over_255": lambda pixels, dice: pixels.astype(np.float32) / 255,
    "from_minus_1": lambda pixels, dice: pixels * 2 - 1,
    "to_plus_1": lambda pixels, dice: (pixels + 1) / 2,
}


@dataclass(frozen=True)
class Condition:
    """`gain`: F1 that the image as it is brings over the changed one, mean and 95 % interval."""

    name: str
    pairs: int
    gain: float | None
    low: float | None
    high: float | None
    fault: str

    @property
    def passed(self) -> bool:
        return not self.fault


def run(checkpoint: Path, root: Path, limit: int) -> list[Condition]:
    """Judge a checkpoint by the first `limit` held-out conversations with images of a run folder."""
    mix = store.require(root, "mix")
    held_out = [c for c in store.read_items(mix, Conversation, stem="bench") if c.has_image]
    return gate(Generator.load(checkpoint), held_out[:limit], root)


def gate(
    generator: Generator, conversations: Sequence[Conversation], root: Path, seed: int = 0
) -> list[Condition]:
    """Judge a checkpoint by held-out conversations with images.

    Args:
      root: the run folder that the images' paths are about.

    Raises:
      DataError: too few conversations with images, or of one patient only.
    """
    asked = [r for c in conversations if c.has_image for r in rounds(c)]
    if len(asked) < LEAST or len({r.asked.patient_key for r in asked}) < 2:
        raise DataError(
            "too_few_images", f"the gate needs {LEAST} held-out answers with images of two patients"
        )
    true = dict(zip(map(_key, asked), _scores(generator, asked, _loader(root), "true"), strict=True))
    found = []
    for name, changed in _conditions(asked, conversations, seed).items():
        scores = _scores(generator, changed, _loader(root, PIXELS.get(name), seed), name)
        found.append(_judge(name, [true[_key(r)] - s for r, s in zip(changed, scores, strict=True)]))
    return found


def _conditions(
    asked: list[Round], conversations: Sequence[Conversation], seed: int
) -> dict[str, list[Round]]:
    """Which answers each condition is about, with the conversation that it asks."""
    other = [r for c in swapped(conversations, seed) for r in rounds(c)]
    sided = [r for r in asked if ("左" in r.reference) != ("右" in r.reference)]
    deep = [r for r in asked if max(v.shape[0] for v in r.asked.volumes) > 2]
    several = [r for r in asked if len(r.asked.volumes) > 1]
    later = [r for r in asked if r.round]
    chosen = {name: asked for name in PIXELS} | {"mirrored": sided, "shuffled": deep}
    return chosen | {
        "swapped": other,
        "reverse_order": [_reversed(r) for r in several],
        "no_prior": [r.model_copy(update={"asked": _last(r.asked)}) for r in later],
    }


def _judge(name: str, gains: list[float]) -> Condition:
    if len(gains) < LEAST:
        return Condition(name, len(gains), None, None, None, "")
    mean, low, high = mean_ci95(gains)
    fault = ""
    if name in MUST_HELP and low <= 0:
        fault = f"the image helps no more than {name}: it is not read"
    elif name not in MUST_HELP and high < 0:
        fault = f"{name} images fit better than those as they are: they are read the wrong way"
    return Condition(name, len(gains), mean, low, high, fault)


def _scores(
    generator: Generator, asked: Sequence[Round], load: Callable[[Volume], np.ndarray], name: str
) -> list[float]:
    """F1 of every answer's conclusion."""
    scores = []
    for start in track(range(0, len(asked), BATCH), f"gate {name}"):
        batch = asked[start : start + BATCH]
        texts = generator.answer([r.asked for r in batch], load, max_new_tokens=MAX_NEW_TOKENS)
        scores += [_f1(_said(t), _said(r.reference)) for t, r in zip(texts, batch, strict=True)]
    return scores


def _said(answer: str) -> frozenset[str]:
    """Diseases and the side of the last section; its words when it names none."""
    bodies = [body for _, body in split_sections(answer)]
    conclusion = (bodies[-1] if bodies else answer).strip(" 。.\n")
    sides = [side for side in "左右" if side in conclusion]
    labels = frozenset(extract(conclusion)) or frozenset({conclusion})
    return labels | frozenset(sides if len(sides) == 1 else ())


def _f1(said: frozenset[str], true: frozenset[str]) -> float:
    return 2 * len(said & true) / (len(said) + len(true))


def _loader(root: Path, change: Change | None = None, seed: int = 0) -> Callable[[Volume], np.ndarray]:
    def load(volume: Volume) -> np.ndarray:
        pixels = store.read_volume(volume.path, root)
        return change(pixels, random.Random(f"{seed} {volume.path}")) if change else pixels

    return load


def _key(asked: Round) -> tuple[str, int]:
    return asked.asked.conversation_id, asked.round


def _reversed(asked: Round) -> Round:
    """The images of the conversation in reverse order."""
    images = [p for t in asked.asked.turns for p in t.content if p.type == "image"]
    turns = [
        t.model_copy(update={"content": tuple(images.pop() if p.type == "image" else p for p in t.content)})
        for t in asked.asked.turns
    ]
    return asked.model_copy(update={"asked": asked.asked.model_copy(update={"turns": tuple(turns)})})


def _last(conversation: Conversation) -> Conversation:
    return conversation.model_copy(update={"turns": conversation.turns[-1:]})


# ---------------------------------------------------------------- for a reader


def table(conditions: Sequence[Condition]) -> str:
    """One line a condition."""
    lines = [f"{'condition':15} {'pairs':>5}  gain of the image as it is, F1 of the conclusion"]
    for c in conditions:
        figures = "too few pairs" if c.gain is None else f"{c.gain:8.3f} [{c.low:.3f}, {c.high:.3f}]"
        lines.append(f"{c.name:15} {c.pairs:5}  {figures}{'   FAILS' if c.fault else ''}")
    return "\n".join(lines)


def record(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    """The same for a program."""
    return [{**c.__dict__, "passed": c.passed} for c in conditions]
