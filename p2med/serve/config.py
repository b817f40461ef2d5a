"""The recipe's `serve` section."""

from pydantic import Field

from p2med.schema.base import Frozen


class ServeConfig(Frozen):
    checkpoint: str | None = None
    """A stage name or a folder; None: the last stage of the recipe."""
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    max_waiting: int = Field(16, ge=0, description="one request is answered at a time; so many more may wait")
    max_body_mib: float = Field(64, gt=0)
    max_new_tokens: int = Field(512, ge=1)
    api_key: str | None = None
    """When set, requests need `Authorization: Bearer <key>`."""
