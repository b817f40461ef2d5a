"""Which records may teach: complete and not too long (P2Med Sec. V-C.1)."""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from p2med.errors import RecipeError
from p2med.schema.terms import RecordKind as K
from p2med.schema.terms import Section as S

# The outputs of the tasks that read these records; tests compare this table with tasks/.
NEEDED: dict[K, tuple[S, ...]] = {
    K.RADIOLOGY_REPORT: (S.FINDINGS, S.IMPRESSION),
    K.OUTPATIENT_RECORD: (S.PRELIMINARY_DIAGNOSIS, S.TREATMENT_RECOMMENDATION, S.TREATMENT_PLAN),
    K.FIRST_COURSE_RECORD: (S.DIAGNOSTIC_BASIS, S.ADMISSION_DIAGNOSIS, S.DIAGNOSTIC_AND_TREATMENT_PLAN),
    K.ATTENDING_ROUND_RECORD: (S.DIAGNOSTIC_BASIS, S.CURRENT_DIAGNOSIS, S.DIAGNOSTIC_AND_TREATMENT_PLAN),
    K.CHIEF_ROUND_RECORD: (S.DIAGNOSTIC_BASIS, S.CURRENT_DIAGNOSIS, S.DIAGNOSTIC_AND_TREATMENT_PLAN),
    K.CONSULTATION: (
        S.CHIEF_COMPLAINT,
        S.HISTORY_OF_PRESENT_ILLNESS,
        S.AUXILIARY_EXAMINATION,
        S.PAST_MEDICAL_HISTORY,
        S.DIAGNOSIS,
        S.ADVICE,
    ),
}

Fault = tuple[str, str]
"""A reason and a detail without a patient's value."""
CountTokens = Callable[[str], int]


def missing_sections(kind: K, sections: Mapping[str, str]) -> list[S]:
    """The sections that a record of this kind must have to be a ground truth, and lacks."""
    return [s for s in NEEDED[kind] if not (sections.get(s) or "").strip()]


def fault_of(kind: K, sections: Mapping[str, str], tokens: int, max_tokens: int) -> Fault | None:
    """Why a record is dropped, or None."""
    missing = missing_sections(kind, sections)
    if missing:
        return "missing_section", ", ".join(s.value for s in missing)
    if tokens > max_tokens:
        return "too_long", f"{tokens} tokens, at most {max_tokens}"
    return None


def token_counter(tokenizer: Path | None) -> CountTokens:
    """Count with a sentencepiece model; without one, a character is a token.

    Raises:
      RecipeError: the file is missing or no sentencepiece model.
    """
    if tokenizer is None:
        return len
    # By name, because sentencepiece belongs to the extra `train` and few recipes count with it here.
    processor = importlib.import_module("sentencepiece").SentencePieceProcessor()
    try:
        processor.Load(str(tokenizer))
    except (OSError, RuntimeError, TypeError):
        raise RecipeError(f"curate.tokenizer: {tokenizer} is no sentencepiece model") from None
    return lambda text: len(processor.EncodeAsIds(text))


def tokenizer_digest(tokenizer: Path | None) -> str:
    """The tokenizer's content is an input of this verb, so a new one makes the folder out of date."""
    if tokenizer is None:
        return "characters"
    if not tokenizer.is_file():
        raise RecipeError(f"curate.tokenizer: there is no file {tokenizer}")
    return hashlib.sha256(tokenizer.read_bytes()).hexdigest()[:16]
