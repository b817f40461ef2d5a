"""Which conversations each training stage sees, and which the benchmark asks."""

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
    """maximum: no eligible disease ever has more than max_per_category, those that come in with rarer ones
    counted (the strict reading); draw: that many new ones for each disease (the literal reading)."""
    match_total_of: Literal["inpatient"] | None = None
    """Stop when as many are drawn as the stage has inpatient records (Sec. V-A.3)."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self):
        if self.from_categories is not None and self.from_categories[0] > self.from_categories[1]:
            raise ValueError("from_categories: the lower bound comes first")
        return self

    @property
    def takes_all(self) -> bool:
        """No rule on diseases: every conversation may be drawn."""
        return self.from_categories is None and self.max_per_category is None


class BenchmarkTask(Frozen):
    """How many items of one task."""

    single: int = Field(0, ge=0)
    """Items of one round: one examination, one record."""
    rounds: int = Field(0, ge=0)
    """Rounds in items of several rounds: children examined more than once in a visit."""
    diseases: int = Field(0, ge=0)
    """At least so many different diseases, where the held-out patients have them."""

    @model_validator(mode="after")
    def _several_are_two(self):
        if self.rounds == 1:
            raise ValueError("rounds: an item of several rounds has at least 2")
        return self


# Sec. V-A.5: 642 items; "more than" 47, 8, 55, 47, 79 and 74 diseases.
PAPER_BENCHMARK = {
    "xray_report": BenchmarkTask(single=100, rounds=21, diseases=48),
    "ct_report": BenchmarkTask(single=121, diseases=9),
    "outpatient_record": BenchmarkTask(single=100, diseases=56),
    "first_course_record": BenchmarkTask(single=100, diseases=48),
    "attending_round_record": BenchmarkTask(single=100, diseases=80),
    "chief_round_record": BenchmarkTask(single=100, diseases=75),
}


class BenchmarkConfig(Frozen):
    """P2Med-MBench; without this section the benchmark is every held-out conversation."""

    tasks: dict[str, BenchmarkTask] = PAPER_BENCHMARK
    size: int | None = Field(None, ge=1)
    """Another number of items in all (a round counts as one), in the proportions of `tasks`."""
    decisions: str | None = None
    """The file that a specialist saved from the page of `p2med review`."""

    def counts(self) -> dict[str, BenchmarkTask]:
        """`tasks`, scaled to `size` by largest remainders."""
        if self.size is None:
            return dict(self.tasks)
        parts = [(t, f) for t in self.tasks for f in ("single", "rounds")]
        counted = {(t, f): getattr(self.tasks[t], f) for t, f in parts}
        total = sum(counted.values())
        if not total:
            return dict(self.tasks)
        share = {p: self.size * n // total for p, n in counted.items()}
        left = self.size - sum(share.values())
        rest = sorted(counted, key=lambda p: (-(self.size * counted[p] % total), parts.index(p)))
        for part in rest[:left]:
            share[part] += 1
        for task in self.tasks:
            if share[task, "rounds"] == 1:  # an item of several rounds has at least two
                share[task, "rounds"] = 0
                share[task, "single"] += 1
        return {
            t: b.model_copy(update={"single": share[t, "single"], "rounds": share[t, "rounds"]})
            for t, b in self.tasks.items()
        }


class MixConfig(Frozen):
    stages: dict[str, dict[str, SamplerConfig]]
    """Stage name -> task name -> sampler."""
    bench_tasks: tuple[str, ...] = ()
    """Tasks of the held-out conversations; empty: every task of any stage."""
    benchmark: BenchmarkConfig | None = None
    """None: the benchmark is every held-out conversation."""
    single_round: bool = False
    """Teach each examination as a conversation of its own (the paper's Table III, "w/o MRC")."""
    languages: tuple[Literal["zh", "en"], ...] = ("zh",)
    """Prompt languages; the record's own text is never translated, so `en` suits English sources."""
    seed: int = 0
    workers: int = Field(0, ge=0, description="processes; 0: one a core; never changes the bytes of a shard")

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
