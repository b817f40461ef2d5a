"""The fixtures of small_server.py, for every test of this folder."""

from small_server import checkpoint, server, text_checkpoint, text_server

__all__ = ["checkpoint", "server", "text_checkpoint", "text_server"]
