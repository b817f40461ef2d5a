"""What a recipe says of the use that its model is for, and of the licences of its parts."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from p2med.schema.base import Frozen

Use = Literal["research", "clinical", "commercial", "redistribute"]
"""research: inside the project, nothing leaves. clinical: those who treat patients see its answers.
commercial: it earns money. redistribute: others get the weights."""


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Uses = Annotated[tuple[Use, ...], BeforeValidator(_one_or_more)]


class Statement(Frozen):
    """What the recipe's author vouches for of one part.

    part: `llm`, `encoder`, `tokenizer`, `data:<set>`, or `source-<n>`, the n-th source of `ingest`.
    Either `name` (a model of the table), or `licence`: a licence of the table, or any other by its name, with
    what it forbids and where its text is. `permits` are uses that the holder allowed `by` a paper of its own.
    """

    part: str
    name: str | None = None
    licence: str | None = None
    source: str | None = None
    forbids: Uses | None = None
    permits: Uses = ()
    by: str | None = None

    @model_validator(mode="after")
    def _is_complete(self):
        if self.permits and not self.by:
            raise ValueError(f"licences, {self.part}: `permits` needs `by`: the paper that permits it")
        if not (self.name or self.licence or self.permits):
            raise ValueError(
                f"licences, {self.part}: say its `name`, its `licence` or what the holder `permits`"
            )
        return self
