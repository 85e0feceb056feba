"""Mirrors and scales prepared images of a stream of masks, as the learner's crops do."""

import torch

from learner.crops import CropConfig
from learner.strategies import Batch

_DEFAULTS = CropConfig()


def augmented(batch: Batch, generator: torch.Generator) -> Batch:
    """Return images (N, 1, H, W) and masks (N, H, W), half of them mirrored, with a gain and an offset of their own."""
    count = len(batch)
    mirrored = torch.rand(count, generator=generator) < 0.5  # noqa: PLR2004 - half of them
    images = torch.where(mirrored[:, None, None, None], batch.images.flip(-1), batch.images)
    masks = torch.where(mirrored[:, None, None], batch.targets.flip(-1), batch.targets)
    gain = 1 + _DEFAULTS.gain_jitter * torch.randn(count, 1, 1, 1, generator=generator)
    offset = _DEFAULTS.offset_jitter * torch.randn(count, 1, 1, 1, generator=generator)
    return Batch(images * gain + offset, masks)
