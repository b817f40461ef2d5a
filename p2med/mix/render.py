"""Cases to conversations, through the tasks of the recipe."""

from collections.abc import Iterator, Mapping

from p2med import plugins
from p2med.mix.config import MixConfig
from p2med.schema.case import Case
from p2med.schema.conversation import Conversation
from p2med.tasks._inpatient import InpatientRecord
from p2med.tasks.base import Task

HELD_OUT = ("val", "bench")


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


def render(case: Case, tasks: Mapping[str, Task], config: MixConfig) -> Iterator[Conversation]:
    """All conversations of a case: by task, then language; an id names one conversation only."""
    taught_singly = config.single_round and case.split not in HELD_OUT
    for task in tasks.values():
        for language in config.languages:
            for conversation in task.conversations(case, language):
                rounds = _single_rounds(case, task, conversation) if taught_singly else (conversation,)
                for one in rounds:
                    if len(config.languages) > 1:
                        one = one.model_copy(update={"conversation_id": f"{one.conversation_id}/{language}"})
                    yield one


def _single_rounds(case: Case, task: Task, whole: Conversation) -> Iterator[Conversation]:
    """Every examination alone, with the diseases of its own report; one of one round stays what it is."""
    if sum(t.role == "assistant" for t in whole.turns) == 1:
        yield whole
        return
    for study in case.studies:
        alone = case.model_copy(update={"studies": (study,)})
        for one in task.conversations(alone, whole.language):
            if one.conversation_id == whole.conversation_id:
                number = whole.turns.index(one.turns[0]) // 2
                yield one.model_copy(update={"conversation_id": f"{whole.conversation_id}/round{number}"})
