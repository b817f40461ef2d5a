"""The server: OpenAI-compatible chat, and the tasks by name. Nothing of a request's content is logged."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from p2med import __version__, plugins
from p2med.errors import DataError, ModelError, RecipeError
from p2med.model.generate import Generator
from p2med.serve.chat import Reply, add_image, check_length, decode_image, read_chat, until_stop
from p2med.serve.config import ServeConfig
from p2med.serve.inputs import Memory, answer_object, find_task, make_conversation, read_section_names
from p2med.serve.protocol import ApiError, ChatRequest, TaskRequest
from p2med.serve.worker import RETRY_AFTER_SECONDS, Job, Worker
from p2med.tasks.base import Question

MIB = 1024 * 1024
LOOK_EVERY_SECONDS = 0.25
"""How often a waiting request is checked for a client that left."""


def create_app(generator: Generator, config: ServeConfig, model_name: str = "p2med") -> FastAPI:
    """The application around one checkpoint."""
    app = FastAPI(title="P2Med", version=__version__, docs_url=None, redoc_url=None)
    worker = Worker(config.max_waiting)
    app.state.worker = worker
    _add_errors(app)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "model": model_name, "version": __version__, "jobs": worker.busy}

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        _check_key(request, config)
        one = {"id": model_name, "object": "model", "created": 0, "owned_by": "p2med"}
        return {"object": "list", "data": [one]}

    @app.get("/v1/tasks")
    async def tasks(request: Request) -> dict[str, Any]:
        _check_key(request, config)
        return {"tasks": [_describe(name) for name in plugins.names("p2med.tasks")]}

    @app.post("/v1/tasks/{name}")
    async def task(name: str, request: Request) -> dict[str, Any]:
        _check_key(request, config)
        asked = _parse(TaskRequest, await _body(request, config))
        return await _one(
            request, worker, lambda left: iter([_answer_task(generator, config, name, asked, left)])
        )

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Any:
        _check_key(request, config)
        asked = _parse(ChatRequest, await _body(request, config))
        if asked.model != model_name:
            message = f"there is no model {asked.model!r}; this server has {model_name!r}"
            raise ApiError(404, message, "model_not_found", "model")
        if not asked.stream:
            return await _one(request, worker, lambda left: _chat_whole(generator, config, asked, left))
        pieces = worker.run(lambda stopped: _chat_stream(generator, config, asked, stopped))
        # The first piece is awaited here, so that a fault is still an error status and not a broken stream.
        first = await anext(pieces)
        return StreamingResponse(_events(first, pieces), media_type="text/event-stream")

    return app


# ---------------------------------------------------------------- jobs, run in the worker's thread


def _most(config: ServeConfig, wanted: int | None) -> int:
    return min(wanted or config.max_new_tokens, config.max_new_tokens)


def _pieces(
    generator: Generator, config: ServeConfig, asked: ChatRequest, stopped: Any
) -> tuple[Reply, Iterator[str]]:
    memory = Memory()
    conversation = read_chat(asked, generator, memory)
    count = check_length(conversation, generator)
    most = min(_most(config, asked.max_completion_tokens or asked.max_tokens), generator.max_tokens - count)
    said = generator.stream(
        conversation,
        memory.load,
        max_new_tokens=most,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=asked.seed,
        cancelled=stopped,
    )
    return Reply(asked.model, count, most), until_stop(said, asked.stops)


def _chat_whole(generator: Generator, config: ServeConfig, asked: ChatRequest, stopped: Any) -> Iterator[Any]:
    reply, pieces = _pieces(generator, config, asked, stopped)
    answer = "".join(pieces)
    yield reply.whole(answer, reply.usage(generator, answer))


def _chat_stream(
    generator: Generator, config: ServeConfig, asked: ChatRequest, stopped: Any
) -> Iterator[Any]:
    reply, pieces = _pieces(generator, config, asked, stopped)
    yield reply.chunk({"role": "assistant", "content": ""})
    answer = ""
    for piece in pieces:
        answer += piece
        yield reply.chunk({"content": piece})
    usage = reply.usage(generator, answer)
    yield reply.chunk({}, reply.finish_reason(usage))
    if asked.stream_options and asked.stream_options.include_usage:
        yield reply.usage_chunk(usage)


def _answer_task(
    generator: Generator, config: ServeConfig, name: str, asked: TaskRequest, stopped: Any
) -> dict[str, Any]:
    try:
        task = find_task(name)
    except RecipeError as error:
        raise ApiError(404, str(error), "task_not_found") from None
    unknown = [k for k in asked.sections if not read_section_names({k: ""})]
    if unknown:
        raise ApiError(400, f"unknown sections: {', '.join(unknown)}", "section_unknown", "sections")
    memory = Memory()
    images = [add_image(decode_image(i), generator, memory) for i in asked.images]
    question = Question(
        sections=read_section_names(asked.sections),
        volumes=tuple(p.volume for p in images if p.volume),
        question=asked.question,
        options=tuple(asked.options),
    )
    try:
        conversation = make_conversation(task, question, asked.language, name)
    except DataError as error:
        raise ApiError(400, error.detail, error.reason) from None
    if len(conversation.volumes) != len(images):
        raise ApiError(400, f"{name} takes no image; leave `images` out", "image_for_text_task", "images")
    check_length(conversation, generator)
    if conversation.options:
        chances = generator.probabilities([conversation], memory.load)[0]
        return answer_object("answer", task, max(chances, key=lambda o: chances[o]), chances)
    most = _most(config, asked.max_tokens)
    said = generator.stream(conversation, memory.load, max_new_tokens=most, cancelled=stopped)
    return answer_object("answer", task, "".join(said))


def _describe(name: str) -> dict[str, Any]:
    task = find_task(name)
    return {
        "name": task.name,
        "title_zh": task.title_zh,
        "title_en": task.title_en,
        "needs_image": task.needs_image,
        "inputs": [{"name": s.value, "zh": s.zh, "en": s.en} for s in task.inputs],
        "outputs": [{"name": s.value, "zh": s.zh, "en": s.en} for s in task.outputs],
    }


# ---------------------------------------------------------------- HTTP


async def _one(request: Request, worker: Worker, job: Job) -> Any:
    """The job's only piece; a client that leaves cancels it."""
    answer = asyncio.ensure_future(anext(worker.run(job)))
    try:
        while not (await asyncio.wait({answer}, timeout=LOOK_EVERY_SECONDS))[0]:
            if await request.is_disconnected():
                raise ApiError(499, "the client left", "client_left")
        return answer.result()
    finally:
        answer.cancel()


async def _events(first: Any, pieces: AsyncIterator[Any]) -> AsyncIterator[str]:
    yield f"data: {json.dumps(first, ensure_ascii=False)}\n\n"
    async for piece in pieces:
        yield f"data: {json.dumps(piece, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


async def _body(request: Request, config: ServeConfig) -> Any:
    """The JSON body; counted while it is read, so that no length header can lie."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > config.max_body_mib * MIB:
            raise ApiError(413, f"the request is larger than {config.max_body_mib:g} MiB", "too_large")
    try:
        value = json.loads(bytes(content))
        if b"\\u" in content:  # half of a surrogate pair is JSON, and no text
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not valid JSON", "invalid_json") from None


def _parse(kind: type[BaseModel], raw: Any) -> Any:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "body"
        raise ApiError(400, f"{where}: {fault['msg']}", "invalid_value", where) from None


def _check_key(request: Request, config: ServeConfig) -> None:
    if config.api_key is None:
        return
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), config.api_key.encode()):
        raise ApiError(401, "the API key is missing or wrong", "invalid_api_key")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.status == 429 else None
        return JSONResponse(error.body(), error.status, headers)

    @app.exception_handler(ModelError)
    async def model_error(_: Request, error: ModelError) -> JSONResponse:
        return JSONResponse(ApiError(400, str(error), "does_not_fit").body(), 400)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        body = ApiError(500, f"the server failed ({type(error).__name__})", "server_error").body()
        return JSONResponse(body, 500)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        body = ApiError(error.status_code, str(error.detail), "http_error").body()
        return JSONResponse(body, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def request_error(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(ApiError(400, "the request is not valid", "invalid_value").body(), 400)
