"""Where the data comes from."""

from pydantic import ConfigDict, Field

from p2med.schema.base import Frozen


class SourceConfig(Frozen):
    """`kind` is a file name in ingest/sources/; every other key is checked by that file's `Options`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    kind: str


class IngestConfig(Frozen):
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    shard_size: int = Field(64, ge=1, description="cases a shard")
