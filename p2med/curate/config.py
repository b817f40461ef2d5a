"""Clean, normalise, label, deduplicate, split. Numbers of the paper carry their section."""

from typing import Literal

from pydantic import Field, model_validator

from p2med.imaging.spec import ImageSpec
from p2med.schema.base import Frozen


class CtConfig(Frozen):
    """Which CT series are wanted (Sec. V-C.1). A missing kernel or thickness is not a reason to reject."""

    slice_thickness_mm: float | None = Field(5.0, gt=0)
    """Preferred thickness; None: any."""
    require_slice_thickness: bool = False
    """True: the paper's rule to the letter, every other thickness is rejected."""
    min_slices: int = Field(4, ge=1)


class DedupConfig(Frozen):
    """MinHash near-deduplication of outpatient records (Sec. V-A.2, V-C.1)."""

    ngram: int = Field(5, ge=1, description="units a shingle; 5 is the paper's")
    unit: Literal["char", "word"] = "char"
    """Ours: the paper does not say. Words of Chinese are its characters, and punctuation does not count."""
    digits: Literal["keep", "mask"] = "keep"
    """mask: all digits are equal, so that records that differ in a temperature alone are duplicates."""
    bands: int = Field(256, ge=1)
    rows: int = Field(16, ge=1, description="hashes a band")
    min_jaccard: float = Field(0.85, gt=0, le=1)
    verify: bool = True
    """False: the paper's literal reading, sharing a bucket is enough."""


class SplitConfig(Frozen):
    """By patient. A split that the source presets is kept."""

    val: float = Field(0.1, ge=0, lt=1)
    bench: float = Field(0.2, ge=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _leaves_training(self):
        if self.val + self.bench >= 1:
            raise ValueError("split: val + bench must leave something to train on")
        return self


class LeakConfig(Frozen):
    """What counts as a leak from the held-out data into training, and what becomes of it."""

    action: Literal["drop", "refuse"] = "drop"
    """drop: training data that share something with held-out ones go, each with its reason; refuse: the run
    stops. Patients whom the source gave no split follow their family, so most leaks never arise."""
    min_jaccard: float = Field(0.85, gt=0, le=1)
    min_image_similarity: float = Field(0.95, gt=0, le=1)
    """Correlation of two images' fingerprints (leaks_images.py)."""
    max_image_ratio: float = Field(0.05, gt=0, le=1)
    template_share: float = Field(0.8, gt=0, le=1)
    """Share of a held-out report's sentences that one training report must have to be of its template."""
    max_template_rate: float = Field(1.0, ge=0, le=1)
    """At most this share of the benchmark's reports may have the template of a training one. 1: only counted,
    because reports of normal films are made from a few templates in most hospitals."""

    def as_dedup(self, dedup: DedupConfig) -> DedupConfig:
        """How texts are compared: as for removal, with this threshold."""
        return dedup.model_copy(update={"min_jaccard": self.min_jaccard, "verify": True})


FilterName = Literal["side", "negation", "sex", "age", "pairing"]
"""The filters of filters.py, beside missing sections and length, which always count."""


class CurateConfig(Frozen):
    image: ImageSpec = ImageSpec()
    ct: CtConfig = CtConfig()
    max_tokens: int = Field(4000, ge=1)  # Sec. V-C.1
    tokenizer: str | None = None
    """A sentencepiece tokenizer.model to count with; None: that of `model.tokenizer` where it is a file. A
    tokenizer that is still to be trained cannot count: then one character is one token."""
    filters: tuple[FilterName, ...] = ("side", "negation", "sex", "age", "pairing")
    dedup: DedupConfig | None = DedupConfig()
    split: SplitConfig = SplitConfig()
    leaks: LeakConfig = LeakConfig()
    contact_sheets: bool = False
    """Write a PNG for each series, to look at."""
    diagnoses: Literal["extract", "given"] = "extract"
    """extract: disease labels from the impressions and diagnoses; given: the source's own labels."""
    workers: int = Field(0, ge=0, description="processes; 0: one for each core")
