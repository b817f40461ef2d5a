"""A tiny checkpoint with random weights, in the layout of a real one, and a server around it."""

import base64
import io
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image

from p2med.imaging.spec import ImageSpec
from p2med.model.build import build, build_tokenizer
from p2med.model.checkpoint import save_checkpoint
from p2med.model.config import LlmConfig, ModelSection, PartConfig, TokenizerConfig
from p2med.model.generate import Generator
from p2med.serve.app import create_app
from p2med.serve.config import ServeConfig

SENTENCES = [f"患儿咳嗽{n}天，两肺纹理增多，未见实变影。支气管肺炎{n}，正常{n}。" for n in range(60)]


def tiny(folder: Path, with_images: bool) -> Path:
    section = ModelSection(
        encoder=PartConfig(kind="cnn", channels=(8, 16), blocks=(1, 1), groups=4) if with_images else None,
        connector=PartConfig(kind="perceiver", layers=1, latents=4, heads=2, head_width=16)
        if with_images
        else None,
        llm=LlmConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=768,
        ),
        adapter=None,
        tokenizer=TokenizerConfig(vocab_size=400),
    )
    spec = ImageSpec(size=32, max_slices=8)
    words = build_tokenizer(section, SENTENCES)
    model, processor = build(section, spec, words)
    save_checkpoint(folder, model, words, processor, spec, {"stage": folder.name})
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("checkpoint") / "stage1", with_images=True)


@pytest.fixture(scope="session")
def text_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("checkpoint") / "text", with_images=False)


class Running:
    """A real server on loopback."""

    def __init__(self, checkpoint: Path, config: ServeConfig):
        self.app = create_app(Generator.load(checkpoint, device="cpu", threads=1), config)
        self.server = uvicorn.Server(uvicorn.Config(self.app, port=0, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=10)


@pytest.fixture(scope="session")
def server(checkpoint: Path):
    running = Running(checkpoint, ServeConfig(max_new_tokens=24, max_waiting=16, max_body_mib=1))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def text_server(text_checkpoint: Path):
    config = ServeConfig(max_new_tokens=8, max_waiting=0, api_key="geheim")
    running = Running(text_checkpoint, config)
    yield running
    running.stop()


def png(seed: int = 0, size: int = 48) -> bytes:
    sink = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).save(sink, format="PNG")
    return sink.getvalue()


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
