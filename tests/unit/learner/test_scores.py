import numpy as np
import pytest
import torch
from torch import nn

from learner.release_gate import GOLDEN, NEWEST, PAST
from learner.scores import FrameScores, frozen_copy, gate_sets, prepared
from memory.samples import Sample
from stream.preprocessing import prepare
from tests.unit.learner.networks import Threshold
from tests.unit.learner.records import CLASSES, counted

MULTIPLE = 16


def make_frame(number: int, domain: str = "a", *, side: int = 20, value: int = 1) -> Sample:
    """A frame with a bright patch, of which the label leaves out ``number`` pixels."""
    pixels = np.zeros((side, side + 4), np.uint8)
    pixels[3:7, 2:10] = 200
    mask = np.where(pixels > 0, value, 0).astype(np.uint8)
    mask[3, 2 : 2 + number] = 0
    return Sample(f"label-{number}", domain, "weld", pixels, mask)


def make_scores(model: nn.Module) -> FrameScores:
    return FrameScores(model, CLASSES, MULTIPLE)


def test_each_frame_gets_its_own_counts_whatever_the_sizes() -> None:
    frames = [make_frame(number, side=(20, 33)[number % 2]) for number in range(7)]
    model = Threshold()
    for frame, counts in zip(frames, make_scores(model).of(frames), strict=True):
        number = int(frame.label_id.removeprefix("label-"))
        assert (counts.counts[1, 1], counts.counts[0, 1], counts.counts[1, 0]) == (32 - number, number, 0)
        assert counts.counts.sum() == frame.mask.size
        assert counts.frames == 1
    assert model.asked == [(4, 1, 32, 32), (3, 1, 48, 48)]


def test_a_frame_is_judged_once() -> None:
    model = Threshold()
    scores = make_scores(model)
    frames = [make_frame(number) for number in range(6)]
    first = scores.of([*frames[:4], frames[0]])
    assert model.frames == 4
    second = scores.of(frames)
    assert model.frames == 6
    assert all(a is b for a, b in zip(first, [*second[:4], second[0]], strict=True))
    assert scores.of([]) == []


def test_batches_are_small_and_padded_as_the_network_needs() -> None:
    model = Threshold()
    make_scores(model).of([make_frame(number, side=20) for number in range(7)])
    assert model.asked == [(4, 1, 32, 32), (3, 1, 32, 32)]


def test_counts_that_are_known_are_taken_over() -> None:
    model = Threshold()
    scores, published = make_scores(model), counted(found=1, missed=2)
    scores.add("label-0", published)
    assert scores.of([make_frame(0)]) == [published]
    assert model.frames == 0


def test_what_is_not_kept_is_judged_again() -> None:
    model = Threshold()
    scores = make_scores(model)
    frames = [make_frame(number) for number in range(3)]
    scores.of(frames)
    scores.keep(["label-1", "never seen"])
    scores.of(frames)
    assert model.frames == 3 + 2


def test_sets_are_told_apart_and_a_frame_of_two_sets_is_judged_once() -> None:
    model = Threshold()
    a, b, c = make_frame(0, "x"), make_frame(1, "y"), make_frame(2, "x")
    found = make_scores(model).by_set(gate_sets([a, b], [], [b, c, a]))
    wrong = {
        name: {domain: [int(counts.counts[0, 1]) for counts in frames] for domain, frames in domains.items()}
        for name, domains in found.items()
    }
    assert wrong == {GOLDEN: {"x": [0], "y": [1]}, NEWEST: {}, PAST: {"x": [2, 0], "y": [1]}}
    assert model.frames == 3


def test_the_score_is_of_defect_pixels_pooled_whatever_their_class() -> None:
    frames = [make_frame(0, value=2), make_frame(8)]
    # 64 pixels called, 32 + 24 drawn, 32 + 24 of them both.
    assert make_scores(Threshold()).dice(frames) == pytest.approx(2 * 56 / (64 + 56))
    assert make_scores(Threshold(level=99.0)).dice(frames) == 0.0
    assert make_scores(Threshold()).dice([]) == 1.0


def test_a_versions_weights_are_loaded_to_be_judged_only() -> None:
    model = frozen_copy(Threshold(level=1.0), {"level": torch.tensor(3.0)})
    assert float(next(model.parameters())) == 3.0
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    with pytest.raises(RuntimeError, match="unknown"):
        frozen_copy(Threshold(), {"unknown": torch.tensor(3.0)})


def test_counters_that_a_version_leaves_out_stay() -> None:
    model = Threshold()
    model.register_buffer("counter", torch.tensor(5))
    loaded = frozen_copy(model, {"level": torch.tensor(3.0)}).state_dict()
    assert (float(loaded["level"]), int(loaded["counter"])) == (3.0, 5)


def test_some_frames_are_prepared_one_by_one() -> None:
    frames = prepared([make_frame(number, side=20) for number in range(3)], 2, MULTIPLE)
    assert [(frame.shape, frame.dtype) for frame in frames] == [((1, 1, 32, 32), np.float32)] * 2
    np.testing.assert_array_equal(frames[0][0, 0, :20, :24], prepare(make_frame(0).pixels))
