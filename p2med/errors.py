"""What can go wrong, as one small tree.

    P2MedError            the command ends with one line and exit code 2
      RecipeError         the recipe says something that is unknown or contradictory
      DataError           an input cannot be read; `reason` is the word that rejected.parquet counts
        PhiError          an input cannot be cleaned of identity
        QuarantineError   an input broke its reader
      ModelError          a checkpoint or a model part does not fit

Messages say what, where and what to do. They never hold a patient's value: counts, lengths, tags and
paths inside the export are allowed, contents are not.
"""


class P2MedError(Exception):
    """Base of every error a user is meant to read."""


class RecipeError(P2MedError):
    """The recipe is wrong."""


class DataError(P2MedError):
    """One input is wrong. `reason` is a short snake_case name, stable enough to count."""

    def __init__(self, reason: str, detail: str = ""):
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class PhiError(DataError):
    """One input cannot be proven free of identity, so it does not pass."""


class QuarantineError(DataError):
    """One input broke its reader or its limits: neither read nor understood, a person must look at it.

    Its reason says so: quarantined_reader_died.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"quarantined_{reason.removeprefix('quarantined_')}", detail)


class ModelError(P2MedError):
    """A checkpoint, tokenizer or model part does not fit."""
