from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learner.bootstrap import LEAST_GOLDEN, digest, first_model_folder, samples_of, split, train_first_model
from learner.crops import CropConfig
from learner.holdout import HoldoutRule
from learner.model import ModelConfig
from learner.settings import BootstrapSettings, HoldoutSettings, LearnerSettings
from learner.trainer import Trainer, TrainerConfig
from learner.trainers import make_trainer
from memory.samples import Sample
from stream.sources.base import SourceFrame
from tests.unit.learner.records import make_sample
from tests.unit.learner.samples import make_samples
from tests.unit.stream.samples import make_frame

STEPS = 2


def make_settings(folder: Path, **changes: Any) -> LearnerSettings:
    """Settings of the smallest network, trained for two steps."""
    values: dict[str, Any] = {
        "model": ModelConfig(encoder_depth=3, decoder_channels=(16, 8, 8), pretrained=False),
        "trainer": TrainerConfig(crops=CropConfig(size=64)),
        "training": {"device": "cpu"},
        "bootstrap": BootstrapSettings(steps=STEPS, batch_size=2, cache_dir=folder),
    }
    return LearnerSettings(**values | changes)


def labelled(frames: int = 4, domain: str = "a", value: int = 1) -> list[Sample]:
    return [
        Sample(f"label-{number}", domain, "weld", frame.pixels, frame.mask)
        for number, frame in enumerate(make_samples(frames, size=64, value=value))
    ]


def welds(numbers: Sequence[int], frames: int = 5) -> list[Sample]:
    return [
        make_sample(frames * i + frame, weld=f"weld-{weld}")
        for i, weld in enumerate(numbers)
        for frame in range(frames)
    ]


def names(samples: Sequence[Sample]) -> set[str]:
    return {sample.weld_id for sample in samples}


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items() if tensor.is_floating_point()}


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_frames_without_a_mask_are_passed_over() -> None:
    pixels = np.ones((4, 5), np.uint16)
    mask = np.eye(4, 5, dtype=np.uint8)
    frames = [SourceFrame(make_frame("W1-1"), pixels, mask), SourceFrame(make_frame("W1-2"), pixels, None)]
    (sample,) = samples_of(frames)
    assert (sample.label_id, sample.weld_id, sample.domain) == ("bootstrap-W1-1", "W1", make_frame().domain)
    assert sample.pixels is pixels
    assert sample.mask is mask


def test_welds_are_split_as_the_learner_will_and_whole(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    rule = HoldoutRule(settings.holdout)
    samples = welds(range(40))
    training, held = split(samples, settings)
    assert names(held) == {f"weld-{i}" for i in range(40) if rule.holds_out("a", f"weld-{i}", "")}
    assert names(held).isdisjoint(names(training))
    order = [sample.label_id for sample in samples]
    for part in (training, held):
        assert [s.label_id for s in part] == sorted((s.label_id for s in part), key=order.index)
    assert len(training) + len(held) == len(samples)


def test_where_the_rule_holds_out_too_little_the_last_weld_goes_as_a_whole(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, holdout=HoldoutSettings(share=0.0))
    training, held = split(welds([3, 1, 2], frames=2), settings)
    assert [s.weld_id for s in held] == ["weld-2"] * 2
    assert [s.weld_id for s in training] == ["weld-3"] * 2 + ["weld-1"] * 2


@pytest.mark.parametrize(("frames", "also_the_last"), [(LEAST_GOLDEN - 1, True), (LEAST_GOLDEN, False)])
def test_enough_held_out_frames_take_no_further_weld(frames: int, also_the_last: bool, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    rule = HoldoutRule(settings.holdout)
    first = next(i for i in count() if rule.holds_out("a", f"weld-{i}", ""))
    others = [i for i in range(20) if not rule.holds_out("a", f"weld-{i}", "")]
    _, held = split(welds([first, *others[:3]], frames), settings)
    assert names(held) == {f"weld-{first}"} | ({f"weld-{others[2]}"} if also_the_last else set())


def test_by_label_a_weld_is_split(tmp_path: Path) -> None:
    holdout = HoldoutSettings(unit="label", share=0.5)
    samples = welds([1], frames=40)
    training, held = split(samples, make_settings(tmp_path, holdout=holdout))
    rule = HoldoutRule(holdout)
    assert {s.label_id for s in held} == {s.label_id for s in samples if rule.holds_out("a", "weld-1", s.label_id)}
    assert len(training) + len(held) == 40
    assert names(training) == names(held) == {"weld-1"}


@pytest.mark.parametrize("samples", [[], welds([1])], ids=["no frame", "one weld"])
def test_nothing_left_to_train_on_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"of {len(samples)} labelled frames none is left"):
        split(samples, make_settings(tmp_path, holdout=HoldoutSettings(share=0.0)))


def test_a_first_model_is_trained_once(tmp_path: Path) -> None:
    settings, samples = make_settings(tmp_path), labelled()
    first, again = make_trainer(settings), make_trainer(settings)
    untrained = weights(first)
    assert train_first_model(first, samples, settings) == STEPS
    assert not same(weights(first), untrained)
    (kept,) = tmp_path.rglob("*.safetensors")
    assert kept.parent.name == digest(samples, settings)

    assert train_first_model(again, samples[::-1], settings) == 0
    assert same(weights(again), weights(first))
    assert train_first_model(make_trainer(settings), samples[1:], settings) == STEPS


def test_training_stops_when_its_time_is_over(tmp_path: Path) -> None:
    changes = BootstrapSettings(steps=50, seconds=3.0, batch_size=2, cache_dir=tmp_path)
    settings = make_settings(tmp_path, bootstrap=changes)
    clock = count(100)
    # The clock is read once at the beginning and once before each step: 103 ends it.
    made = train_first_model(make_trainer(settings), labelled(), settings, lambda: float(next(clock)))
    assert made == 2


def test_the_digest_is_of_what_training_depends_on(tmp_path: Path) -> None:
    settings, samples = make_settings(tmp_path), labelled()
    expected = digest(samples, settings)
    renamed = [replace(s, label_id=f"other-{s.label_id}", weld_id="other") for s in samples]
    assert digest(renamed[::-1], settings) == expected
    assert digest(samples, make_settings(tmp_path / "elsewhere")) == expected
    assert digest(samples, make_settings(tmp_path, holdout=HoldoutSettings(share=0.7))) == expected


def test_whatever_changes_the_model_changes_the_digest(tmp_path: Path) -> None:
    settings, samples = make_settings(tmp_path), labelled()
    bootstrap = settings.bootstrap
    darker = replace(samples[0], pixels=samples[0].pixels // np.uint8(2))
    redrawn = replace(samples[0], mask=np.roll(samples[0].mask, 1))
    digests = [
        digest(samples, settings),
        digest(samples[1:], settings),
        digest([darker, *samples[1:]], settings),
        digest([redrawn, *samples[1:]], settings),
        digest(labelled(domain="b"), settings),
        digest(samples, make_settings(tmp_path, seed=1)),
        digest(samples, make_settings(tmp_path, bootstrap=bootstrap.model_copy(update={"steps": 3}))),
        digest(samples, make_settings(tmp_path, trainer=TrainerConfig(crops=CropConfig(size=96)))),
        digest(samples, make_settings(tmp_path, model=ModelConfig(pretrained=False))),
    ]
    assert len(set(digests)) == len(digests)


def test_first_models_are_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_model_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/weldstream/first-model")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert first_model_folder({"XDG_CACHE_HOME": ""}) == tmp_path / ".cache/weldstream/first-model"
    assert first_model_folder({}) == tmp_path / ".cache/weldstream/first-model"
