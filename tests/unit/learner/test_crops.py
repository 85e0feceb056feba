import numpy as np
import pytest
import torch

from learner.crops import CropConfig, Cropper
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
