"""The server, over loopback, through the official OpenAI client."""

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from small_server import data_url, png

from p2med.serve.app import _one
from p2med.serve.protocol import ApiError
from p2med.serve.worker import Worker

ASK = [{"role": "user", "content": "患儿咳嗽3天，请作出诊断。"}]


def client(server, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def with_image(url: str) -> list[dict]:
    image = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [image, {"type": "text", "text": "这张影像有什么异常？"}]}]


def post(server, path: str, body, key: str | None = None) -> tuple[int, dict]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(server.url + path, content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_official_client_gets_an_answer(server):
    assert [m.id for m in client(server).models.list()] == ["p2med"]
    reply = client(server).chat.completions.create(model="p2med", messages=ASK, max_tokens=12)
    assert reply.choices[0].message.role == "assistant"
    assert reply.usage.completion_tokens <= 13
    assert reply.usage.prompt_tokens > 5
    assert reply.choices[0].finish_reason in ("stop", "length")


def test_streaming_says_the_same_and_never_half_a_character(server):
    for seed in range(4):
        whole = client(server).chat.completions.create(
            model="p2med", messages=ASK, max_tokens=20, temperature=1.0, seed=seed
        )
        stream = client(server).chat.completions.create(
            model="p2med",
            messages=ASK,
            max_tokens=20,
            temperature=1.0,
            seed=seed,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert said == whole.choices[0].message.content
        assert "\ufffd" not in said
        assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


def test_an_image_changes_what_is_said_or_at_least_what_is_read(server):
    reply = client(server).chat.completions.create(model="p2med", messages=with_image(data_url(png())))
    plain = client(server).chat.completions.create(
        model="p2med", messages=[{"role": "user", "content": "这张影像有什么异常？"}]
    )
    # Four image tokens stand in the prompt (and the marks around them): the image was not dropped.
    assert reply.usage.prompt_tokens >= plain.usage.prompt_tokens + 4


def test_a_conversation_of_several_rounds(server):
    rounds = [
        *ASK,
        {"role": "assistant", "content": "支气管肺炎。"},
        {"role": "user", "content": "如何治疗？"},
    ]
    reply = client(server).chat.completions.create(
        model="p2med", messages=[{"role": "system", "content": "用中文回答。"}, *rounds]
    )
    assert reply.object == "chat.completion"


BAD = [
    ({"model": "gpt-4"}, 404, "model_not_found"),
    ({"messages": []}, 400, "invalid_value"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "role_order"),
    ({"messages": [*ASK, *ASK]}, 400, "role_order"),
    ({"messages": [*ASK, {"role": "assistant", "content": "x"}]}, 400, "role_order"),
    ({"n": 2}, 400, "invalid_value"),
    ({"temperature": 9}, 400, "invalid_value"),
    ({"max_tokens": 0}, 400, "invalid_value"),
    ({"tools": [{"type": "function"}]}, 400, "invalid_value"),
    ({"frequency_penalty": 1.5}, 400, "invalid_value"),
    ({"seed": 2**70}, 400, "invalid_value"),
    ({"stop": ""}, 400, "invalid_value"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "invalid_json"),
    ({"messages": with_image("https://example.org/a.png")}, 400, "image_url"),
    ({"messages": with_image("data:image/png;base64,!!!")}, 400, "image_url"),
    ({"messages": with_image(data_url(b"no picture"))}, 400, "image_unreadable"),
    ({"messages": [{"role": "user", "content": "咳" * 5000}]}, 400, "context_length_exceeded"),
]


@pytest.mark.parametrize("change, status, code", BAD, ids=[c[2] + str(n) for n, c in enumerate(BAD)])
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request_is_refused_clearly(server, change, status, code, stream):
    body = {"model": "p2med", "messages": ASK, "stream": stream} | change
    found, reply = post(server, "/v1/chat/completions", body)
    assert (found, reply["error"]["code"]) == (status, code)
    assert reply["error"]["message"] and reply["error"]["type"] == "invalid_request_error"


def test_broken_json_and_a_body_that_is_too_large(server):
    assert post(server, "/v1/chat/completions", b"{")[0] == 400
    status, reply = post(server, "/v1/chat/completions", b" " * (1024 * 1024 + 10))
    assert (status, reply["error"]["code"]) == (413, "too_large")
    assert post(server, "/nowhere", {})[0] == 404


def test_a_task_by_name(server):
    sections = {"主诉": "咳嗽3天", "history_of_present_illness": "发热", "体格检查": "神清"}
    status, reply = post(server, "/v1/tasks/outpatient_record", {"sections": sections})
    assert status == 200 and reply["task"] == "outpatient_record" and isinstance(reply["text"], str)
    body = {"images": [data_url(png())], "options": ["正常", "肺炎"]}
    status, reply = post(server, "/v1/tasks/classification", body)
    assert status == 200 and abs(sum(reply["probabilities"].values()) - 1) < 1e-6
    assert reply["text"] == max(reply["probabilities"], key=reply["probabilities"].get)


def test_what_a_task_lacks_is_named(server):
    status, reply = post(server, "/v1/tasks/outpatient_record", {"sections": {"主诉": "咳嗽"}})
    assert status == 400 and "history_of_present_illness" in reply["error"]["message"]
    assert post(server, "/v1/tasks/outpatient_record", {"sections": {"血型": "A"}})[0] == 400
    assert post(server, "/v1/tasks/xray_report", {})[0] == 400
    assert post(server, "/v1/tasks/classification", {"options": ["正常"]})[0] == 400
    assert post(server, "/v1/tasks/classification", {"options": ["正常", "正常"]})[0] == 400
    status, reply = post(server, "/v1/tasks/nothing", {})
    assert status == 404 and "outpatient_record" in reply["error"]["message"]


def test_a_text_model_refuses_images_instead_of_dropping_them(text_server):
    body = {"model": "p2med", "messages": with_image(data_url(png()))}
    status, reply = post(text_server, "/v1/chat/completions", body, key="geheim")
    assert (status, reply["error"]["code"]) == (400, "image_for_text_model")


def test_a_text_task_refuses_images_instead_of_dropping_them(server):
    sections = {"主诉": "咳嗽3天", "现病史": "发热", "体格检查": "神清"}
    body = {"sections": sections, "images": [data_url(png())]}
    status, reply = post(server, "/v1/tasks/outpatient_record", body)
    assert (status, reply["error"]["code"]) == (400, "image_for_text_task")


def test_a_fault_of_a_job_neither_stops_the_worker_nor_loses_its_place():
    class Panic(BaseException):
        """What a Rust decoder raises."""

    def broken(_):
        raise Panic
        yield

    async def both() -> str:
        worker = Worker(max_waiting=0)
        with pytest.raises(RuntimeError, match="Panic"):
            await anext(worker.run(broken))
        while worker.busy:
            await asyncio.sleep(0.01)
        return await anext(worker.run(lambda _: iter(["well"])))

    assert asyncio.run(both()) == "well"


def test_leaving_without_streaming_stops_the_generation():
    stopped = threading.Event()

    def endless(left):
        while not left():
            time.sleep(0.01)
        stopped.set()
        yield "late"

    class Gone:
        async def is_disconnected(self) -> bool:
            return True

    async def leave() -> None:
        with pytest.raises(ApiError):
            await _one(Gone(), Worker(max_waiting=0), endless)

    asyncio.run(leave())
    assert stopped.wait(5)


def test_the_key_is_asked_for(text_server):
    with pytest.raises(openai.AuthenticationError):
        client(text_server, "wrong").chat.completions.create(model="p2med", messages=ASK)
    reply = client(text_server, "geheim").chat.completions.create(model="p2med", messages=ASK)
    assert reply.choices


def test_eight_at_once_are_all_answered_and_more_than_the_queue_are_told_to_wait(server, text_server):
    def ask(_):
        return client(server).chat.completions.create(model="p2med", messages=ASK, max_tokens=8)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(ask, range(8)))
    assert len({r.choices[0].message.content for r in replies}) == 1

    def crowd(_):
        body = {"model": "p2med", "messages": ASK, "max_tokens": 8}
        return post(text_server, "/v1/chat/completions", body, key="geheim")[0]

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(crowd, range(24)))
    assert set(statuses) <= {200, 429} and 200 in statuses and 429 in statuses


def test_a_client_that_leaves_frees_its_place(server):
    stream = client(server).chat.completions.create(model="p2med", messages=ASK, stream=True, max_tokens=24)
    next(iter(stream))
    stream.close()
    reply = client(server).chat.completions.create(model="p2med", messages=ASK, max_tokens=2, timeout=20)
    assert reply.choices
    for _ in range(100):  # the place is given back just after the last piece
        with urllib.request.urlopen(server.url + "/health", timeout=10) as health:
            if json.loads(health.read())["jobs"] == 0:
                return
        time.sleep(0.02)
    pytest.fail("a place was not given back")
