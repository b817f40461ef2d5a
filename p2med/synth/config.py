"""The synthetic children's hospital: how many children, how ill, how large the images."""

from pydantic import Field

from p2med.schema.base import Frozen


class SynthConfig(Frozen):
    patients: int = Field(300, ge=1)
    inpatient_share: float = Field(0.35, ge=0, le=1)
    """Share of the patients who are admitted."""
    xray_share: float = Field(0.9, ge=0, le=1)
    """Share of the outpatient visits with an X-ray examination; every inpatient has two or three."""
    ct_share: float = Field(0.9, ge=0, le=1)
    """Share of the inpatients with one or two CT examinations."""
    xray_pixels: int = Field(512, ge=64)
    ct_pixels: int = Field(192, ge=64)
    ct_slices: int = Field(16, ge=4)
    bench_share: float = Field(0.2, ge=0, lt=1)
    """Share of the patients written by the unseen template family and listed in bench_patients.txt."""
    burned_in_share: float = Field(0.02, ge=0, le=1)
    """Share of the films with name, number and date drawn into the pixels."""
    paper_scale: bool = False
    """The paper's counts as text, as a finished 2_deid folder (paper.py); the fields above do not count."""
    share: float = Field(1.0, gt=0, le=4)
    """Of the paper's counts; with paper_scale."""
    seed: int = 7
    workers: int = Field(0, ge=0, description="processes; 0: one for each core; never changes the bytes")
