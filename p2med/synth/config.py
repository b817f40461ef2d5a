"""The synthetic children's hospital: how many children, how ill, how large the images."""

from pydantic import Field

from p2med.schema.base import Frozen


class SynthConfig(Frozen):
    patients: int = Field(300, ge=1)
    inpatient_share: float = Field(0.3, ge=0, le=1)
    """Share of the patients who are admitted."""
    xray_share: float = Field(0.9, ge=0, le=1)
    """Share of the visits with at least one X-ray examination."""
    ct_share: float = Field(0.6, ge=0, le=1)
    """Share of the inpatients with at least one CT examination."""
    xray_pixels: int = Field(512, ge=64)
    ct_pixels: int = Field(256, ge=64)
    ct_slices: int = Field(16, ge=4)
    bench_share: float = Field(0.2, ge=0, lt=1)
    """Share of the patients written by the unseen template family and listed in bench_patients.txt."""
    seed: int = 7
