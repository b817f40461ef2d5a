"""From conversations to token ids: the chat form of P2Med (Sec. V-B.3) and the image tokens.

    <s>Human: 当前放射学资料如下：…<image> x K…</s>Assistant: [放射学表现]…</s>
       ---------------- not learned --------------------  ====== learned ======
Rounds follow each other, oldest first; the answer of every round is learned, with its stop token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from p2med.model.shape import P2MedConfig, plugin
from p2med.model.tokenizer import IMAGE_TOKEN, bytes_of
from p2med.schema.conversation import Conversation

HUMAN, ASSISTANT, SYSTEM = "Human: ", "Assistant: ", "System: "
IGNORED = -100


@dataclass(frozen=True)
class Encoded:
    """One conversation as token ids.

    `labels` are -100 where nothing is learned. `image_rounds` names for every image the round (counted
    from 0) that shows it; `answers` are the answer's ids of every round, without the stop token.
    """

    input_ids: list[int]
    labels: list[int]
    image_rounds: list[int]
    answers: list[list[int]]


class P2MedProcessor(ProcessorMixin):
    """Tokenizer and image tokens. `connector` and `patches` say how many tokens an image takes."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None = None,
        connector: dict[str, Any] | None = None,
        patches: int = 0,
        **kwargs: Any,
    ):
        self.connector = connector
        self.patches = patches
        super().__init__(tokenizer, **kwargs)
        self.image_token_id = self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        bos = self.tokenizer.bos_token_id
        self._start = [] if bos is None else [bos]  # Qwen's texts have no token to start with
        self._bytes_of = bytes_of(self.tokenizer)

    def tokens_per_image(self, depth: int) -> int:
        """How many image tokens a volume of `depth` slices takes."""
        if self.connector is None:
            return 0
        module, options = plugin("connector", self.connector)
        return module.tokens_per_image(options, depth, self.patches)

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        images: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """The Hugging Face way in: strings with `<image>` where an image stands, images in that order.

        Args:
          text: one string or several; None: images only.
          images: arrays float[D, H, W] in [0, 1], over all strings.
        """
        data: dict[str, Any] = {}
        volumes = [np.asarray(v) for v in (images or ())]
        if text is not None:
            strings = [text] if isinstance(text, str) else list(text)
            depths = iter(v.shape[0] for v in volumes)
            data |= self.pad([self._ids(s, depths) for s in strings])
        if volumes:
            pixels, slices = stack(volumes)
            data |= {"pixel_values": pixels, "slices": slices}
        return BatchFeature(data)

    def _ids(self, string: str, depths: Any) -> list[int]:
        ids = list(self._start)
        for n, piece in enumerate(string.split(IMAGE_TOKEN)):
            if n:
                ids += [self.image_token_id] * self.tokens_per_image(next(depths))
            ids += self.text_ids(piece)
        return ids

    def pad(self, rows: list[list[int]]) -> dict[str, torch.Tensor]:
        """Left padding, so that every row ends where the answer begins."""
        width = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (width - len(r)) + r for r in rows])
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
        return {"input_ids": ids, "attention_mask": mask}

    def text_ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False) if text else []

    def text_of(self, ids: Sequence[int]) -> str:
        """Token ids to text; bytes that are no character (yet) are left out, the others stay as they are.

        Not tokenizer.decode: that one gives up a whole run of bytes for one that is wrong, so that text
        already streamed would change. Here more ids only ever add characters at the end.
        """
        content = b""
        special = set(self.tokenizer.all_special_ids)
        for token in self.tokenizer.convert_ids_to_tokens([i for i in ids if i not in special]):
            content += self._bytes_of(token)
        return content.decode("utf-8", errors="ignore").removeprefix(" ")

    def encode(self, conversation: Conversation, depths: Sequence[int] | None = None) -> Encoded:
        """Token ids and labels of a whole conversation.

        If it ends with the user's turn, the ids end with the header of the answer that is asked for.

        Args:
          depths: slices of every image; by default those that the conversation's volumes state.
        """
        left = list(depths if depths is not None else (v.shape[0] for v in conversation.volumes))
        stop = self.tokenizer.eos_token_id
        ids, labels = list(self._start), [IGNORED] * len(self._start)
        image_rounds: list[int] = []
        answers: list[list[int]] = []
        for turn in conversation.turns:
            if turn.role == "assistant":
                answer = self.text_ids(turn.text)
                header = self.text_ids(ASSISTANT)
                ids += [*header, *answer, stop]
                labels += [*[IGNORED] * len(header), *answer, stop]
                answers.append(answer)
                continue
            text, piece = HUMAN if turn.role == "user" else SYSTEM, []
            for part in turn.content:
                if part.volume is None:
                    text += part.text or ""
                    continue
                piece += self.text_ids(text)
                piece += [self.image_token_id] * self.tokens_per_image(left.pop(0))
                image_rounds.append(len(answers))
                text = ""
            ids += [*piece, *self.text_ids(text), stop]
            labels += [IGNORED] * (len(ids) - len(labels))
        if conversation.turns[-1].role != "assistant":
            ids += self.text_ids(ASSISTANT)
            labels += [IGNORED] * (len(ids) - len(labels))
        return Encoded(ids, labels, image_rounds, answers)


def stack(volumes: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad volumes [D, H, W] with empty slices at the end (Sec. V-C.1: zeros after normalisation).

    Returns:
      float32[N, D, H, W] and int64[N], the true depths.
    """
    depth = max(v.shape[0] for v in volumes)
    pixels = np.zeros((len(volumes), depth, *volumes[0].shape[1:]), dtype=np.float32)
    for n, volume in enumerate(volumes):
        pixels[n, : volume.shape[0]] = volume
    return torch.from_numpy(pixels), torch.tensor([v.shape[0] for v in volumes])


AutoProcessor.register(P2MedConfig, P2MedProcessor)
