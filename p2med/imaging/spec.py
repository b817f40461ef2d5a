"""The one description of how an image becomes the network's input; it travels inside the checkpoint."""

from typing import Literal

from pydantic import Field

from p2med.schema.base import Frozen


class ImageSpec(Frozen):
    """Curate, training, `p2med answer` and the server all use this with imaging/transform.py."""

    size: int = Field(336, ge=16, description="pixels, both axes; the aspect ratio is not kept (Sec. V-C.1)")
    window_level_hu: float = -500.0
    """CT window centre (Sec. V-C.1)."""
    window_width_hu: float = Field(1200.0, gt=0)
    """CT window width (Sec. V-C.1)."""
    max_slices: int | None = Field(None, ge=1, description="our choice: at most this many, evenly chosen")
    low_percentile: float = Field(1.0, ge=0, lt=50)
    """Radiographs: this percentile of the stored values becomes 0. Our choice; the paper is silent."""
    high_percentile: float = Field(99.0, gt=50, le=100)
    """Radiographs: this percentile becomes 1."""
    resampling: Literal["antialiased_bilinear"] = "antialiased_bilinear"
