"""Verb 7: a checkpoint behind HTTP, on this machine alone unless the recipe says otherwise."""

import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from p2med.errors import P2MedError
from p2med.model.checkpoint import resolve_checkpoint
from p2med.model.generate import Generator
from p2med.progress import say
from p2med.serve.app import create_app
from p2med.serve.config import ServeConfig
from p2med.store import verb_folder

KEEP_ALIVE_SECONDS = 15


def run(config: ServeConfig, root: Path, stages: Sequence[str] = (), checkpoint: Path | None = None) -> None:
    """Serve until it is stopped.

    Raises:
      P2MedError: there is no checkpoint, or the port is taken.
    """
    folder = resolve_checkpoint(checkpoint or _of_the_run(config, root, stages))
    generator = Generator.load(folder)
    listener = _listen(config)
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"
    say(f"p2med: serving {folder} at {url}")
    say(f"try:   curl {url}/v1/tasks")
    app = create_app(generator, config)
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, server_header=False
    )
    uvicorn.Server(settings).run(sockets=[listener])


def _of_the_run(config: ServeConfig, root: Path, stages: Sequence[str]) -> Path:
    folder = verb_folder(root, "train")
    if config.checkpoint is not None:
        return folder / config.checkpoint if config.checkpoint in stages else Path(config.checkpoint)
    if not folder.exists():
        raise P2MedError(f"{folder} does not exist; run `p2med run` with this recipe first")
    return folder / stages[-1] if stages else folder


def _listen(config: ServeConfig) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        where = f"{config.host}:{config.port}"
        raise P2MedError(
            f"{where} cannot be used ({error.strerror}); choose another port: --set serve.port=8001"
        ) from None
    return listener
