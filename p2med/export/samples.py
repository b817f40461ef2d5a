"""What `p2med parity` asks both sides: drawn questions, held-out ones of a run, or a file's.

{"text": "描述这张胸片。", "images": ["film.png"]}    a line of a file; PNG, JPEG or DICOM beside it
"""

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from p2med import store
from p2med.errors import DataError, ModelError
from p2med.imaging.dicom import read_series
from p2med.imaging.picture import read_picture
from p2med.imaging.spec import ImageSpec
from p2med.imaging.transform import prepare
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Part, Turn, image, text

TEXTS = (
    "患儿咳嗽3天，伴发热，体温38.5℃。请写出诊断。",
    "What is the most likely diagnosis? 支气管肺炎／Pneumonia (J18.0)？\n[体格检查]双肺呼吸音粗",
    "龘𠮷👶 <image> </s> Human: 不是标记。",
)


@dataclass(frozen=True)
class Picture:
    """Pixels as a file gives them; `sent` is the file for a server, None: it takes no such file."""

    array: np.ndarray
    unit: str
    sent: bytes | None


@dataclass(frozen=True)
class Sample:
    """A conversation whose volumes' paths are numbers of `pictures`."""

    conversation: Conversation
    pictures: tuple[Picture, ...] = ()

    @property
    def name(self) -> str:
        return self.conversation.conversation_id

    def loader(self, spec: ImageSpec | None) -> Callable[[Volume], np.ndarray]:
        """What a side makes of the pictures with its own transform: float16[D, S, S]."""

        def load(volume: Volume) -> np.ndarray:
            picture = self.pictures[int(volume.path)]
            if picture.unit == "unit_interval":  # of a run: prepared when it was curated
                return picture.array
            assert spec is not None
            return prepare(picture.array, picture.unit, spec)

        return load

    def messages(self) -> list[dict[str, Any]] | None:
        """The same for a server; None: it holds a picture that no server takes."""
        if any(p.sent is None for p in self.pictures):
            return None
        return [
            {"role": t.role, "content": [self._part(p) for p in t.content]} for t in self.conversation.turns
        ]

    def _part(self, part: Part) -> dict[str, Any]:
        if part.volume is None:
            return {"type": "text", "text": part.text}
        content = self.pictures[int(part.volume.path)].sent or b""
        kind = "application/dicom" if content[128:132] == b"DICM" else "image/png"
        url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}


def drawn() -> list[Sample]:
    """Questions for any model: text, one film, two films, a CT and a second round; the same everywhere."""
    noise = np.random.default_rng(0)
    films = tuple(_from_png(_png(noise.integers(0, 256, (96, 80), dtype=np.uint8))) for _ in range(2))
    ct = Picture(noise.integers(-1200, 600, (3, 64, 64)).astype(np.int16), "HU", None)
    found = [_sample(f"text {n}", [_turn("user", t)]) for n, t in enumerate(TEXTS)]
    found.insert(0, _sample("film", [_turn("user", "描述影像：", 0)], films[:1]))
    found.append(_sample("two films", [_turn("user", "比较：", 0, 1)], films))
    found.append(_sample("CT", [_turn("user", "描述影像：", 0)], (ct,)))
    rounds = [_turn("user", "咳嗽3天。", 0), _turn("assistant", "[诊断]肺炎"), _turn("user", "现在呢？", 1)]
    return [*found, _sample("two rounds", rounds, films)]


def of_a_run(root: Path, limit: int, for_server: bool) -> list[Sample]:
    """Held-out conversations of a run folder, asked at their last answer.

    Args:
      for_server: films become PNG files of 8 bits, which both sides then read; CT has no way to a server.
    """
    found = []
    for conversation in list(store.read_items(store.require(root, "mix"), Conversation, stem="bench"))[
        :limit
    ]:
        turns = conversation.turns[: max(n for n, t in enumerate(conversation.turns) if t.role == "user") + 1]
        volumes = [v for t in turns for v in t.volumes]
        pictures = [_of_volume(store.read_volume(v.path, root), for_server) for v in volumes]
        numbers = iter(range(len(volumes)))
        asked = [
            t.model_copy(update={"content": tuple(_numbered(p, numbers) for p in t.content)}) for t in turns
        ]
        changed = conversation.model_copy(update={"turns": tuple(asked)})
        found.append(Sample(changed, tuple(pictures)))
    return found


def of_a_file(path: Path) -> list[Sample]:
    """One sample a line.

    Raises:
      ModelError: a line is no such object, or an image cannot be read; with the line's number.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            pictures = tuple(_from_file((path.parent / name).read_bytes()) for name in row.get("images", ()))
            found.append(
                _sample(f"line {number}", [_turn("user", str(row["text"]), *range(len(pictures)))], pictures)
            )
        except (ValueError, KeyError, TypeError, AttributeError, OSError, DataError) as error:
            reason = error.reason if isinstance(error, DataError) else type(error).__name__
            raise ModelError(
                f"{path} line {number}: not {{text, images}} with readable images ({reason})"
            ) from None
    return found


def _sample(name: str, turns: Sequence[Turn], pictures: tuple[Picture, ...] = ()) -> Sample:
    shaped = [_with_shapes(t, pictures) for t in turns]
    asked = Conversation(
        conversation_id=name, task="chat", case_id=name, patient_key=name, turns=tuple(shaped)
    )
    return Sample(asked, pictures)


def _turn(role: str, words: str, *pictures: int) -> Turn:
    volumes = [Volume(path=str(n), shape=(1, 1, 1), dtype="float16", unit="unit_interval") for n in pictures]
    return Turn(role=role, content=(text(words), *map(image, volumes)))  # type: ignore[arg-type]


def _with_shapes(turn: Turn, pictures: Sequence[Picture]) -> Turn:
    parts = [
        p
        if p.volume is None
        else image(p.volume.model_copy(update={"shape": pictures[int(p.volume.path)].array.shape}))
        for p in turn.content
    ]
    return turn.model_copy(update={"content": tuple(parts)})


def _numbered(part: Part, numbers: Any) -> Part:
    if part.volume is None:
        return part
    return image(part.volume.model_copy(update={"path": str(next(numbers))}))


def _of_volume(array: np.ndarray, for_server: bool) -> Picture:
    if for_server and len(array) == 1:
        return _from_png(_png((array[0].astype(np.float32) * 255).round().astype(np.uint8)))
    return Picture(array, "unit_interval", None)


def _from_file(content: bytes) -> Picture:
    if content[128:132] != b"DICM":
        return _from_png(content)
    pixels = read_series([content])
    return Picture(pixels.array, pixels.unit, content)


def _from_png(content: bytes) -> Picture:
    pixels = read_picture(content)
    return Picture(pixels.array, pixels.unit, content)


def _png(grey: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(grey).save(sink, format="PNG")
    return sink.getvalue()
