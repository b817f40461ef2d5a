"""How identity is taken out."""

from typing import Literal

from pydantic import Field, model_validator

from p2med.schema.base import Frozen


class DeidConfig(Frozen):
    """`key_file` holds 32 secret bytes outside the run folder (make one with `p2med key FILE`)."""

    key_file: str | None = None
    public_data: bool = False
    """The source is public already: a fixed, published key, so that everyone gets the same bytes."""
    max_date_shift_days: int = Field(365, ge=1)
    burned_in_text: Literal["mask", "reject", "keep"] = "reject"
    """Where a picture seems to hold text: blot it outside the lungs, refuse the picture, or do not look."""
    ocr: bool = False
    """Search with the detector of RapidOCR as well (`pip install p2med[ocr]`)."""
    workers: int = Field(0, ge=0, description="processes; 0: one for each core")

    @model_validator(mode="after")
    def _has_a_key(self):
        if (self.key_file is None) == (not self.public_data):
            raise ValueError("deid needs either key_file or public_data: true (and not both)")
        return self
