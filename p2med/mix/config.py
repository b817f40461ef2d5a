"""Which conversations each training stage sees."""

from typing import Literal

from pydantic import Field, model_validator

from p2med.schema.base import Frozen

RESERVED = ("val", "bench", "items", "rejected")


class SamplerConfig(Frozen):
    """An empty one takes every conversation of the task (Sec. V-A.2)."""

    from_categories: tuple[int, int] | None = None
    """Only diseases with this many stage-1 conversations, both bounds included (Sec. V-A.3, V-A.4)."""
    max_per_category: int | None = Field(None, ge=1)
    cap: Literal["maximum", "draw"] = "maximum"
    """maximum: never more than that many of a disease; draw: that many new ones for each (literal)."""
    match_total_of: Literal["inpatient"] | None = None
    """Stop when as many are drawn as the stage has inpatient records (Sec. V-A.3)."""


class MixConfig(Frozen):
    stages: dict[str, dict[str, SamplerConfig]]
    """Stage name -> task name -> sampler."""
    bench_tasks: tuple[str, ...] = ()
    """Tasks of the held-out conversations; empty: every task of any stage."""
    languages: tuple[Literal["zh", "en"], ...] = ("zh",)
    """Prompt languages; the record's own text is never translated, so `en` suits English sources."""
    seed: int = 0

    @model_validator(mode="after")
    def _stages_name_files(self):
        for name in self.stages:
            if name in RESERVED or not name.isidentifier():
                raise ValueError(
                    f"stages: {name!r} names a file: letters, digits, _; not {', '.join(RESERVED)}"
                )
        if not self.languages:
            raise ValueError("languages: name at least one")
        return self
