"""A chat request -> a conversation; a conversation's answer -> OpenAI's objects."""

import base64
import binascii
import time
import uuid
from collections.abc import Iterator
from typing import Any

from p2med.errors import DataError
from p2med.model.generate import Generator
from p2med.schema.conversation import Conversation, Part, Turn, image, text
from p2med.serve.inputs import Memory, read_image, require_spec
from p2med.serve.protocol import ApiError, ChatRequest, Message


def decode_image(url: str) -> bytes:
    """A data URL or plain base64.

    Raises:
      ApiError: 400 for an address (this server makes no request of its own) or broken base64.
    """
    if url.lower().startswith(("http:", "https:", "file:", "ftp:")):
        raise ApiError(400, "images must be sent as data: URLs; this server opens no address", "image_url")
    head, comma, body = url.partition(",")
    if url.startswith("data:") and (not comma or ";base64" not in head):
        raise ApiError(400, "a data: URL must be base64: data:image/png;base64,…", "image_url")
    try:
        return base64.b64decode(body if comma else url, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, "the image is not valid base64", "image_url") from None


def add_image(content: bytes, generator: Generator, memory: Memory) -> Part:
    """Prepare one image as training did.

    Raises:
      ApiError: 400 when the model takes no images, or this is none.
    """
    if generator.image_spec is None:
        raise ApiError(
            400, f"{generator.name} is a text model; it cannot look at images", "image_for_text_model"
        )
    try:
        return image(memory.add(read_image(content), require_spec(generator.image_spec, generator.name)))
    except DataError as error:
        raise ApiError(400, f"the image cannot be read: {error.reason}", "image_unreadable") from None


def read_chat(request: ChatRequest, generator: Generator, memory: Memory) -> Conversation:
    """The messages as a conversation whose last turn is the user's.

    Raises:
      ApiError: 400 for a wrong order of roles or an image that cannot be taken.
    """
    turns: list[Turn] = []
    preface = ""
    for n, message in enumerate(request.messages):
        if message.role == "system":
            if turns:
                raise ApiError(400, "a system message must come first", "role_order", f"messages.{n}.role")
            preface += "".join(p.text or "" for p in _parts(message, generator, memory)) + "\n"
            continue
        wanted = "assistant" if turns and turns[-1].role == "user" else "user"
        if message.role != wanted:
            raise ApiError(
                400, f"expected a message of the {wanted} here", "role_order", f"messages.{n}.role"
            )
        parts = _parts(message, generator, memory)
        if message.role == "assistant" and any(p.type == "image" for p in parts):
            raise ApiError(400, "an assistant's message holds no image", "role_order", f"messages.{n}")
        turns.append(Turn(role=message.role, content=tuple(parts)))
    if not turns or turns[-1].role != "user":
        raise ApiError(400, "the last message must be the user's", "role_order", "messages")
    if preface:
        first = turns[0]
        turns[0] = first.model_copy(update={"content": (text(preface), *first.content)})
    return Conversation(
        conversation_id="chat", task="chat", case_id="chat", patient_key="chat", turns=tuple(turns)
    )


def _parts(message: Message, generator: Generator, memory: Memory) -> list[Part]:
    if isinstance(message.content, str):
        return [text(message.content)]
    found = []
    for part in message.content:
        if part.type == "text" and part.text is not None:
            found.append(text(part.text))
        elif part.type == "image_url" and part.image_url is not None:
            found.append(add_image(decode_image(part.image_url.url), generator, memory))
        else:
            raise ApiError(400, f"a part of type {part.type} lacks its {part.type}", "content")
    return found


def check_length(conversation: Conversation, generator: Generator) -> int:
    """Tokens of the prompt.

    Raises:
      ApiError: 400 `context_length_exceeded`.
    """
    count = generator.count_tokens(conversation)
    if count >= generator.max_tokens:
        raise ApiError(
            400,
            f"the messages have {count} tokens, {generator.name} takes {generator.max_tokens - 1}",
            "context_length_exceeded",
            "messages",
        )
    return count


def until_stop(pieces: Iterator[str], stops: list[str]) -> Iterator[str]:
    """Pass pieces on until a stop string; holds back what may be the beginning of one."""
    held = ""
    longest = max(map(len, stops), default=0)
    for piece in pieces:
        held += piece
        places = [held.index(s) for s in stops if s in held]
        if places:
            if held[: min(places)]:
                yield held[: min(places)]
            return
        ready = len(held) - max(0, longest - 1)
        if ready > 0:
            yield held[:ready]
            held = held[ready:]
    if held:
        yield held


class Reply:
    """One chat completion under way: makes its objects, counts its tokens."""

    def __init__(self, model: str, prompt_tokens: int, most: int):
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model, self.prompt_tokens, self.most = model, prompt_tokens, most

    def usage(self, generator: Generator, answer: str) -> dict[str, int]:
        said = len(generator.processor.text_ids(answer))
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": said,
            "total_tokens": self.prompt_tokens + said,
        }

    def finish_reason(self, usage: dict[str, int]) -> str:
        return "length" if usage["completion_tokens"] >= self.most else "stop"

    def whole(self, answer: str, usage: dict[str, int]) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer}
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self.finish_reason(usage),
            "logprobs": None,
        }
        return self._object("chat.completion", [choice]) | {"usage": usage}

    def chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return self._object("chat.completion.chunk", [choice])

    def usage_chunk(self, usage: dict[str, int]) -> dict[str, Any]:
        return self._object("chat.completion.chunk", []) | {"usage": usage}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
