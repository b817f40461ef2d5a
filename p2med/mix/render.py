"""Cases to conversations, through the tasks of the recipe."""

from collections.abc import Iterator, Mapping, Sequence

from p2med import plugins
from p2med.mix.config import MixConfig
from p2med.schema.case import Case
from p2med.schema.conversation import Conversation
from p2med.tasks._inpatient import InpatientRecord
from p2med.tasks.base import Language, Task


def load_tasks(config: MixConfig) -> dict[str, Task]:
    """Every task that a stage or the benchmark names, in the order of their names.

    Raises:
      RecipeError: there is no such task.
    """
    asked = {t for stage in config.stages.values() for t in stage} | set(config.bench_tasks)
    if config.benchmark is not None:
        asked |= set(config.benchmark.tasks)
    return {name: plugins.load("p2med.tasks", name).TASK for name in sorted(asked)}


def inpatient_tasks(tasks: Mapping[str, Task]) -> list[str]:
    return [name for name, task in tasks.items() if isinstance(task, InpatientRecord)]


def render(case: Case, tasks: Mapping[str, Task], languages: Sequence[Language]) -> Iterator[Conversation]:
    """All conversations of a case: by task, then language; an id names one conversation only."""
    for task in tasks.values():
        for language in languages:
            for conversation in task.conversations(case, language):
                if len(languages) > 1:
                    name = f"{conversation.conversation_id}/{language}"
                    conversation = conversation.model_copy(update={"conversation_id": name})
                yield conversation
