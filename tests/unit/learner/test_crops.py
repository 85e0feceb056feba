from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from learner.crops import CropConfig, Cropper
from learner.strategies.batch import Batch
from tests.unit.learner.samples import Labelled, make_samples

CPU = torch.device("cpu")
STILL = {"gain_jitter": 0.0, "offset_jitter": 0.0, "flip": False}


def test_the_same_seed_cuts_the_same_crops() -> None:
    samples = make_samples(4)
    first, second = (Cropper(CropConfig(size=64), np.random.default_rng(3), CPU).batch(samples) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.targets, second.targets)


@pytest.mark.parametrize("corner", [(0, 0), (0, 255), (255, 0), (255, 255), (100, 30)])
def test_a_crop_asked_to_show_the_defect_shows_it(corner: tuple[int, int]) -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[corner] = 1
    pixels = mask * 200
    cropper = Cropper(CropConfig(size=64, defect_share=1.0), np.random.default_rng(0), CPU)
    batch = cropper.batch([Labelled("a", pixels, mask)] * 20)
    assert (batch.targets.sum(dim=(1, 2)) == 1).all()
    # Image and mask are cut and mirrored together: the bright pixel is the defect.
    assert torch.equal(batch.images[:, 0].flatten(1).argmax(1), batch.targets.flatten(1).argmax(1))


def test_frames_are_standardised_before_they_are_cut() -> None:
    sample = make_samples(1, size=200)[0]
    cropper = Cropper(CropConfig(size=32, defect_share=0.0, **STILL), np.random.default_rng(0), CPU)
    batch = cropper.batch([sample] * 50)
    spread = batch.images.std(dim=(1, 2, 3))
    assert spread.min() < 0.9  # a crop of noise alone, standardised by itself, would spread by 1


def test_a_frame_smaller_than_a_crop_is_padded() -> None:
    batch = Cropper(CropConfig(size=64), np.random.default_rng(0), CPU).batch(make_samples(2, size=40))
    assert batch.images.shape == (2, 1, 64, 64)
    with pytest.raises(ValueError, match="at least one"):
        Cropper(CropConfig(), np.random.default_rng(0), CPU).batch([])


@dataclass(frozen=True)
class Answered(Labelled):
    extras: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def numbered(rows: int, columns: int, stride: int) -> Answered:
    """A frame whose mask and whose logits both say which block of stride by stride pixels one looks at."""
    down, across = -(-rows // stride), -(-columns // stride)
    blocks = 1 + np.arange(down * across).reshape(down, across) % 250
    mask = np.kron(blocks, np.ones((stride, stride)))[:rows, :columns].astype(np.uint8)
    return Answered("a", mask, mask, {"logits": np.stack([blocks, -blocks]).astype(np.float32)})


@pytest.mark.parametrize("stride", [1, 4, 8, 16])
@pytest.mark.parametrize("size", [(96, 130), (101, 67), (40, 200), (64, 64), (17, 9)])
def test_logits_are_cut_where_the_image_is(size: tuple[int, int], stride: int) -> None:
    config = CropConfig(size=64, logits_stride=stride)
    batch = Cropper(config, np.random.default_rng(0), CPU).batch([numbered(*size, stride)] * 40)
    assert batch.logits is not None
    assert batch.logits.shape == (40, 2, 64 // stride, 64 // stride)
    blocks = batch.logits.repeat_interleave(stride, dim=2).repeat_interleave(stride, dim=3)
    assert torch.equal(blocks[:, 0], batch.targets.float())
    assert torch.equal(blocks[:, 1], -batch.targets.float())


def test_a_crop_with_logits_still_shows_the_defect() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[99, 63] = 1
    sample = Answered(
        "a", np.arange(10000).reshape(100, 100).astype(np.uint16), mask, {"logits": np.zeros((2, 13, 13), np.float32)}
    )
    batch = Cropper(CropConfig(size=32, defect_share=1.0), np.random.default_rng(0), CPU).batch([sample] * 60)
    assert batch.logits is not None
    assert bool((batch.targets == 1).flatten(1).any(dim=1).all())


@pytest.mark.parametrize("logits", [None, np.zeros((2, 4, 4)), np.full((2, 12, 12), np.nan), np.zeros((12, 12))])
def test_a_batch_has_logits_only_if_all_its_samples_have_some_that_fit(logits: NDArray[np.float64] | None) -> None:
    sample, (other,) = numbered(96, 96, 8), make_samples(1)
    extras = {} if logits is None else {"logits": logits.astype(np.float32)}
    cropper = Cropper(CropConfig(size=64), np.random.default_rng(0), CPU)
    assert cropper.batch([sample]).logits is not None
    assert cropper.batch([sample, Answered("a", other.pixels, other.mask, extras)]).logits is None


def test_joined_batches_have_logits_if_all_have() -> None:
    cropper = Cropper(CropConfig(size=64), np.random.default_rng(0), CPU)
    with_logits, without = cropper.batch([numbered(96, 96, 8)]), cropper.batch(make_samples(1))
    joined = Batch.join([with_logits, with_logits])
    assert joined.logits is not None
    assert joined.logits.shape == (2, 2, 8, 8)
    assert Batch.join([with_logits, without]).logits is None


def test_logits_change_no_crop_of_other_samples() -> None:
    """Random numbers are drawn alike with and without logits."""
    samples = make_samples(2)
    first, second = (Cropper(CropConfig(size=64), np.random.default_rng(3), CPU) for _ in range(2))
    first.batch([numbered(96, 96, 8)])
    second.batch([Labelled("a", numbered(96, 96, 8).pixels, numbered(96, 96, 8).mask)])
    assert torch.equal(first.batch(samples).images, second.batch(samples).images)
