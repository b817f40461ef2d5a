"""An exported folder behind `p2med answer` and `p2med serve`: every way of asking a checkpoint works."""

import importlib.util
import json

import pytest
from export_maker import write_lora
from fastapi.testclient import TestClient

from p2med.export import samples
from p2med.export.write import export
from p2med.model.generate import Generator
from p2med.serve.answer import answer
from p2med.serve.app import create_app
from p2med.serve.config import ServeConfig

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the extra cpu-serve is not installed"
)
FILM = samples.drawn()[0]


@pytest.fixture(scope="module")
def client(exported):
    return TestClient(create_app(Generator.load(exported["int4"], "cpu", threads=1), ServeConfig()))


def test_files_are_answered_with_the_engines_probabilities(lora, exported, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "film.png").write_bytes(FILM.pictures[0].sent)
    found = {}
    for name, folder in {"torch": lora, **exported}.items():
        out = tmp_path / f"{name}.jsonl"
        answer(folder, "classification", tmp_path / "in", out, labels=("正常", "肺炎"), device="cpu")
        found[name] = json.loads(out.read_text(encoding="utf-8"))["probabilities"]["正常"]
    assert found["bf16"] == pytest.approx(found["torch"], abs=0.02)
    assert found["int8"] == pytest.approx(found["torch"], abs=0.1)
    assert 0 < found["int4"] < 1


def test_chat_whole_and_streamed_with_sampling(client):
    body = {"model": "p2med", "messages": FILM.messages(), "max_tokens": 12}
    for settings in ({}, {"temperature": 0.8, "top_p": 0.9, "seed": 5}):
        whole = client.post("/v1/chat/completions", json=body | settings).json()
        streamed = client.post("/v1/chat/completions", json=body | settings | {"stream": True}).text
        chunks = [json.loads(x[6:]) for x in streamed.splitlines() if x.startswith("data: {")]
        pieces = [c["choices"][0]["delta"].get("content", "") for c in chunks]
        assert "".join(pieces) == whole["choices"][0]["message"]["content"] != ""


def test_tasks_by_name(client):
    asked = {"sections": {"主诉": "咳嗽3天"}, "question": "诊断？", "options": ["正常", "肺炎"], "images": []}
    image = FILM.messages()[0]["content"][1]["image_url"]["url"]
    found = client.post("/v1/tasks/classification", json=asked | {"images": [image], "sections": {}})
    assert found.status_code == 200, found.text
    assert sum(found.json()["probabilities"].values()) == pytest.approx(1)


def test_a_text_model_is_exported_and_refuses_images(tmp_path):
    write_lora(tmp_path / "text", encoder=None, connector=None)
    export(tmp_path / "text", tmp_path / "out", "int8")
    client = TestClient(create_app(Generator.load(tmp_path / "out", "cpu", threads=1), ServeConfig()))
    said = client.post(
        "/v1/chat/completions",
        json={"model": "p2med", "messages": [{"role": "user", "content": "咳嗽"}], "max_tokens": 4},
    )
    assert said.status_code == 200
    refused = client.post("/v1/chat/completions", json={"model": "p2med", "messages": FILM.messages()})
    assert refused.json()["error"]["code"] == "image_for_text_model"
