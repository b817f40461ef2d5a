"""The recipe's `train` section: one entry a stage."""

from typing import Literal

from pydantic import Field, model_validator

from p2med.schema.base import Frozen

Learnable = Literal["encoder", "connector", "llm", "adapter"]


class AugmentConfig(Frozen):
    """How far a training image may be changed; the ranges are our choice. Never a flip: sides matter."""

    shift: float = Field(0.06, ge=0, le=0.5, description="share of the side")
    turn_degrees: float = Field(6.0, ge=0, le=45)
    scale: float = Field(0.08, ge=0, lt=1)
    aspect: float = Field(0.0, ge=0, lt=1)
    """Width against height. Films squeezed into a square tell their format, and with it often their ward."""
    contrast: float = Field(0.15, ge=0, lt=1)
    brightness: float = Field(0.08, ge=0, lt=1)
    gamma: float = Field(0.0, ge=0, le=2, description="range of the logarithm of the exponent")


class StageConfig(Frozen):
    """One training stage. A stage continues from the stage before it in the list, unless it begins `anew`."""

    stage: str
    """The stage's conversations: a name in mix.stages. Also the folder `5_train/<stage>/`."""
    anew: bool = False
    """Begin with the recipe's first weights, not with the stage before: a member for `bench.members`."""
    learn: tuple[Learnable, ...] = Field(min_length=1)
    objective: str = "sft"
    """A file name in train/objectives/: `warm_up` for weights that start from nothing, else `sft`."""
    lr: float = Field(gt=0)
    warmup_ratio: float = Field(0.03, ge=0, le=1)  # Sec. V-C.2
    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(8, ge=1, description="conversations an optimizer step")
    micro_batch_size: int | None = Field(None, ge=1, description="conversations a forward pass")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    task_weights: dict[str, float] = {}
    """How often a task's conversations are drawn; 1 when not named, 0 leaves it out."""
    augment: bool | AugmentConfig = False
    """Change training images a little: true for the default ranges, or the ranges themselves."""
    history_noise: float = Field(0.0, ge=0, le=1)
    """Share of the conversations of several rounds whose earlier answers become noise (history.py; ours)."""
    save_every: int = Field(200, ge=1, description="steps between checkpoints")
    broken_steps_at_most: int = Field(
        10, ge=1, description="in a row, before the last checkpoint is restored"
    )
    seed: int = 0

    @property
    def augmentation(self) -> AugmentConfig | None:
        return (
            self.augment
            if isinstance(self.augment, AugmentConfig)
            else AugmentConfig()
            if self.augment
            else None
        )

    @model_validator(mode="after")
    def _ends(self):
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"train stage {self.stage!r} needs either epochs or steps")
        return self


class TrainConfig(Frozen):
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    threads: int | None = Field(None, ge=1, description="CPU threads; None: every core")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    feature_cache_gib: float = Field(4.0, ge=0)
    """Memory for a frozen encoder's features; what does not fit is read again from cache/features."""
    frozen_dtype: Literal["float32", "bfloat16"] | None = None
    """Of weights that the stage does not learn (None: as they are); bfloat16 spares a cast in every step."""

    gradient_checkpointing: bool = False
    """Keep the input of each language-model layer alone and compute the rest again in backward."""
    shard: bool = False
    """Spread the weights over the processes (shard.py): for a model that one card cannot hold."""

    @model_validator(mode="after")
    def _names_differ(self):
        if self.frozen_dtype == "bfloat16" and self.dtype != "bfloat16":
            raise ValueError("train.frozen_dtype bfloat16 needs train.dtype bfloat16")
        names = [s.stage for s in self.stages]
        if len(set(names)) != len(names):
            raise ValueError("train stages need different names")
        return self
