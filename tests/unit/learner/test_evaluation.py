import numpy as np
import pytest
import torch

from learner.evaluation import evaluate, predict
from tests.unit.learner.networks import Threshold
from tests.unit.learner.samples import Labelled, make_samples

CLASSES = 3


def test_every_frame_is_counted_once_in_its_domain() -> None:
    samples = [*make_samples(3, "b"), *make_samples(2, "a", size=70, seed=1), *make_samples(2, "b", seed=2)]
    found = evaluate(Threshold(), samples, CLASSES, 16, batch_size=2)
    assert list(found) == ["b", "a"]
    assert {domain: counts.frames for domain, counts in found.items()} == {"b": 5, "a": 2}
    for domain, counts in found.items():
        assert counts.counts.sum() == sum(s.mask.size for s in samples if s.domain == domain)
        assert counts.dice == 1.0
    assert evaluate(Threshold(), [], CLASSES, 16) == {}


def test_only_neighbours_of_one_size_share_a_batch() -> None:
    model = Threshold()
    samples = [*make_samples(3), *make_samples(1, size=60), *make_samples(1)]
    evaluate(model, samples, CLASSES, 16, batch_size=2)
    assert model.asked == [(2, 1, 96, 96), (1, 1, 96, 96), (1, 1, 64, 64), (1, 1, 96, 96)]


def test_a_class_that_is_mistaken_is_counted_as_such() -> None:
    (counts,) = evaluate(Threshold(), make_samples(2, value=2), CLASSES, 16).values()
    assert counts.counts[2, 1] == 2 * 20 * 24
    assert counts.dice == 0.0
    assert counts.foreground_dice == 1.0


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_judged_as_it_serves_and_left_as_it_was(training: bool) -> None:
    model = Threshold().train(training)
    evaluate(model, make_samples(1), CLASSES, 16)
    with pytest.raises(ValueError, match="none of the 2"):
        evaluate(model, make_samples(1, value=2), 2, 16)
    assert model.modes == [False, False]
    assert model.training is training


def test_masks_have_the_frames_size_and_no_gradient() -> None:
    model = Threshold()
    frames = [sample.pixels[:50, :77] for sample in make_samples(2)]
    masks = predict(model, frames, 32)
    assert model.asked == [(2, 1, 64, 96)]
    for mask, frame in zip(masks, frames, strict=True):
        assert (mask.shape, mask.dtype, mask.flags.c_contiguous) == ((50, 77), np.uint8, True)
        np.testing.assert_array_equal(mask, frame >= 150)
    assert not torch.is_inference_mode_enabled()


def test_the_gain_of_an_instrument_does_not_matter() -> None:
    (sample,) = make_samples(1)
    louder = Labelled("a", sample.pixels.astype(np.uint16) * 200, sample.mask)
    ours, theirs = predict(Threshold(), [sample.pixels], 16), predict(Threshold(), [louder.pixels], 16)
    np.testing.assert_array_equal(ours[0], theirs[0])
