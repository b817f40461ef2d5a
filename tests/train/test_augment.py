"""Augmented images stay images, keep their sides, and change no more than the recipe says."""

import torch

from p2med.model.encoders.cnn import Options, build
from p2med.train.augment import augmented
from p2med.train.config import AugmentConfig, StageConfig

NOTHING = AugmentConfig(shift=0, turn_degrees=0, scale=0, contrast=0, brightness=0)
STRONG = AugmentConfig(shift=0.07, turn_degrees=8, scale=0.12, aspect=0.16, contrast=0.2, gamma=0.3)


def one_sided(n: int = 32) -> torch.Tensor:
    """float32[n, 1, 48, 48], bright only on the left."""
    pixels = torch.full((n, 1, 48, 48), 0.2)
    pixels[:, :, 12:36, 4:16] = 0.9
    return pixels


def test_ranges_of_zero_change_nothing():
    pixels = torch.rand(3, 2, 20, 20)
    assert torch.allclose(augmented(pixels, NOTHING), pixels, atol=1e-4)


def test_sides_are_never_exchanged():
    torch.manual_seed(0)
    shown = augmented(one_sided(), STRONG)
    assert bool((shown[..., :24].mean((1, 2, 3)) > shown[..., 24:].mean((1, 2, 3))).all())


def test_values_stay_in_range_and_draws_differ():
    torch.manual_seed(0)
    shown = augmented(one_sided(), STRONG)
    assert 0 <= float(shown.min()) and float(shown.max()) <= 1
    assert len({round(float(x.mean()), 4) for x in shown}) > 20


def test_no_black_frame_comes_in():
    torch.manual_seed(0)
    grey = torch.full((16, 1, 32, 32), 0.5)
    moved = AugmentConfig(shift=0.3, turn_degrees=30, scale=0.3, aspect=0.3, contrast=0, brightness=0)
    assert torch.allclose(augmented(grey, moved), grey, atol=1e-4)


def test_the_same_seed_draws_the_same():
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        found.append(augmented(one_sided(), STRONG))
    assert torch.equal(*found)


def test_a_stage_says_true_or_ranges():
    stage = {"stage": "a", "learn": ("llm",), "lr": 1.0, "steps": 1}
    assert StageConfig(**stage).augmentation is None
    assert StageConfig(**stage, augment=True).augmentation == AugmentConfig()
    assert StageConfig(**stage, augment={"aspect": 0.2}).augmentation == AugmentConfig(aspect=0.2)


def test_a_frozen_encoder_learns_no_batch_statistics():
    encoder = build(Options(channels=(8, 8), blocks=(1, 1), norm="batch"), 32)
    before = encoder.norm.running_mean.clone()
    encoder.requires_grad_(False)
    encoder.train()
    encoder(torch.rand(4, 32, 32))
    assert torch.equal(encoder.norm.running_mean, before)
    encoder.requires_grad_(True)
    encoder.train()
    encoder(torch.rand(4, 32, 32))
    assert not torch.equal(encoder.norm.running_mean, before)
