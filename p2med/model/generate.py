"""Answers from a checkpoint: batched, streamed, or as probabilities of given options."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from p2med.errors import ModelError
from p2med.imaging.spec import ImageSpec
from p2med.model.checkpoint import Checkpoint, load_checkpoint, resolve_checkpoint
from p2med.model.exported import open_exported
from p2med.model.processor import stack
from p2med.model.sessions import OpenSession, TorchSession
from p2med.model.shape import plugin
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation

Loader = Callable[[Volume], np.ndarray]
"""float16|float32[D, S, S] in [0, 1], from imaging.transform.prepare with the checkpoint's ImageSpec."""
BATCH = 32


@dataclass
class Prompt:
    """One conversation ready to be continued: ids int64[T] and its images' embeddings float[I, K, d]."""

    ids: list[int]
    images: list[Tensor]


class Generator:
    """Holds a checkpoint in memory. Not thread-safe: one caller at a time."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, open_session: OpenSession | None = None):
        """`open_session`: the engine of an exported checkpoint; None: the language model runs in torch."""
        self.model = checkpoint.model.eval().to(device)
        self.processor = checkpoint.processor
        self.image_spec: ImageSpec | None = (
            checkpoint.image_spec if checkpoint.model.encoder is not None else None
        )
        self.name = checkpoint.folder.name
        self.max_tokens: int = checkpoint.model.config.text_config.max_position_embeddings
        self.device = device
        self.stop: int = self.processor.tokenizer.eos_token_id
        if self.model.config.adapter:
            module, _ = plugin("adapter", self.model.config.adapter)
            module.merge(self.model.language_model)
        self.model.requires_grad_(False)
        self.open_session = open_session or (lambda: TorchSession(self.model.language_model))

    @classmethod
    def load(cls, checkpoint: Path, device: str = "auto", threads: int | None = None) -> "Generator":
        """Read `5_train/<stage>`, or `5_train` for its last finished stage.

        Raises:
          ModelError: the folder does not fit, or the device is not there.
        """
        if threads:
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and not torch.cuda.is_available():
            raise ModelError("device cuda: this machine has none; use cpu or auto")
        folder = resolve_checkpoint(Path(checkpoint))
        loaded = load_checkpoint(folder)
        engine = open_exported(folder, loaded.model.config.text_config)
        return cls(loaded, torch.device("cpu" if engine else device), engine)

    # ---------------------------------------------------------------- three ways to ask

    @torch.inference_mode()
    def answer(
        self,
        conversations: Sequence[Conversation],
        load: Loader,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[str]:
        """The next answer of every conversation, whose last turn is the user's.

        Args:
          temperature: 0 takes the likeliest token; above, `seed` makes the draw repeatable.

        Raises:
          ModelError: a conversation is longer than the model can take, or shows images to a text model.
        """
        answers: list[str] = []
        for start in range(0, len(conversations), BATCH):
            prompts = [self.prompt(c, load) for c in conversations[start : start + BATCH]]
            found: list[list[int]] = [[] for _ in prompts]
            for tokens in self.steps(prompts, max_new_tokens, temperature, top_p, seed + start):
                for row, token in tokens:
                    found[row].append(token)
            answers += [self._text(ids) for ids in found]
        return answers

    def stream(
        self,
        conversation: Conversation,
        load: Loader,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[str]:
        """Pieces of one answer as they come; a character is held back until all its bytes are there."""
        with torch.inference_mode():
            prompt = self.prompt(conversation, load)
        ids: list[int] = []
        shown = ""
        steps = self.steps([prompt], max_new_tokens, temperature, top_p, seed)
        while cancelled is None or not cancelled():
            with torch.inference_mode():
                tokens = next(steps, None)
            if tokens is None:
                break
            ids += [token for _, token in tokens]
            text = self._text(ids)
            if len(text) > len(shown):
                yield text[len(shown) :]
                shown = text

    @torch.inference_mode()
    def probabilities(self, conversations: Sequence[Conversation], load: Loader) -> list[dict[str, float]]:
        """For each conversation, the likelihood of every option's text and stop token, normalised to 1.

        Raises:
          ModelError: a conversation has fewer than two options.
        """
        found: list[dict[str, float]] = []
        for conversation in conversations:
            if len(conversation.options) < 2:
                raise ModelError(f"{conversation.task}: probabilities need at least two options")
            prompt = self.prompt(conversation, load)
            answers = [[*self.processor.text_ids(o), self.stop] for o in conversation.options]
            scores = self._likelihoods(prompt, answers)
            shares = torch.softmax(scores.double(), dim=0)
            found.append(dict(zip(conversation.options, shares.tolist(), strict=True)))
        return found

    def count_tokens(self, conversation: Conversation) -> int:
        """Tokens of the whole conversation, images included."""
        return len(self.processor.encode(conversation).input_ids)

    # ---------------------------------------------------------------- inside

    def _text(self, ids: list[int]) -> str:
        """What the tokens say; bytes that make no character are left out."""
        return self.processor.text_of(ids)

    def prompt(self, conversation: Conversation, load: Loader) -> Prompt:
        if not conversation.turns or conversation.turns[-1].role != "user":
            raise ModelError("the last turn of a conversation must be the user's")
        if conversation.has_image and self.image_spec is None:
            raise ModelError(f"{self.name} is a text model; it cannot look at images")
        volumes = [np.asarray(load(v)) for v in conversation.volumes]
        ids = self.processor.encode(conversation, [v.shape[0] for v in volumes]).input_ids
        if len(ids) >= self.max_tokens:
            raise ModelError(
                f"the conversation has {len(ids)} tokens, {self.name} takes {self.max_tokens - 1}"
            )
        images = []
        for volume in volumes:  # one by one, so that neighbours in a batch change nothing
            pixels, slices = stack([volume])
            pixels, slices = pixels.to(self.device), slices.to(self.device)
            images.append(self.model.image_tokens(self.model.encode(pixels, slices), slices)[0])
        return Prompt(ids, images)

    def embed(self, rows: list[list[int]], images: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Left-padded float[B, T, d] and bool[B, T]."""
        padded = self.processor.pad(rows)
        ids = padded["input_ids"].to(self.device)
        flat = torch.cat(images) if images else None
        return self.model.embed(ids, flat), padded["attention_mask"].to(self.device)

    def steps(
        self, prompts: list[Prompt], max_new_tokens: int, temperature: float, top_p: float, seed: int
    ) -> Iterator[list[tuple[int, int]]]:
        """Yield, step by step, the (row, token) pairs of the rows that have not stopped."""
        embeds, mask = self.embed([p.ids for p in prompts], [i for p in prompts for i in p.images])
        positions = positions_of(mask)
        session = self.open_session()
        random = torch.Generator(device=self.device).manual_seed(seed)
        rows = torch.arange(len(prompts), device=self.device)
        longest = max(len(p.ids) for p in prompts)
        for _ in range(min(max_new_tokens, self.max_tokens - longest)):
            logits = session.feed(embeds, mask, positions)[:, -1]
            token = _choose(logits, temperature, top_p, random)
            going = token != self.stop
            if not bool(going.all()):  # rows that stopped leave the batch
                keep = going.nonzero()[:, 0]
                if not len(keep):
                    return
                rows, token, mask, positions = rows[keep], token[keep], mask[keep], positions[keep]
                session.keep(keep)
            yield list(zip(rows.tolist(), token.tolist(), strict=True))
            embeds = self.model.get_input_embeddings()(token[:, None])
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def _likelihoods(self, prompt: Prompt, answers: list[list[int]]) -> Tensor:
        """log p of each answer after the prompt, float[len(answers)]."""
        embeds, mask = self.embed([prompt.ids + a for a in answers], prompt.images * len(answers))
        positions = positions_of(mask)
        longest = max(map(len, answers))
        logits = self.open_session().feed(embeds, mask, positions, last=longest + 1).float()
        scores = torch.log_softmax(logits, dim=-1)
        totals = []
        for row, answer in enumerate(answers):
            where = range(longest - len(answer), longest)
            totals.append(sum(scores[row, w, t] for w, t in zip(where, answer, strict=True)))
        return torch.stack(totals)


def positions_of(mask: Tensor) -> Tensor:
    """int64|bool[B, T], 0 where a row is padded on the left -> int64[B, T] from its first real token."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _choose(logits: Tensor, temperature: float, top_p: float, random: torch.Generator) -> Tensor:
    """float[B, V] -> int64[B]; nucleus sampling when `temperature` is above 0."""
    if temperature <= 0:
        return logits.argmax(-1)
    shares, order = torch.softmax(logits.float() / temperature, dim=-1).sort(dim=-1, descending=True)
    # The first token is always kept: what counts is the mass before it.
    shares = shares.masked_fill(shares.cumsum(-1) - shares >= top_p, 0.0)
    drawn = torch.multinomial(shares, 1, generator=random)
    return order.gather(-1, drawn)[:, 0]
