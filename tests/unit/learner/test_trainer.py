from pathlib import Path

import numpy as np
import pytest
import torch

from learner.checkpoint import Checkpoint, CheckpointError, CheckpointStore, Position
from learner.crops import CropConfig
from learner.evaluation import evaluate
from learner.model import ModelConfig, build_model
from learner.strategies import StrategyConfig
from learner.strategies.composed import ComposedConfig
from learner.strategies.ewc import OnlineEwcConfig
from learner.strategies.gem import GemConfig, GemProjectionConfig
from learner.strategies.lfl import LflConfig
from learner.strategies.lwf import LwfConfig
from learner.strategies.replay import ReplayConfig
from learner.strategies.si import SiConfig
from learner.trainer import Trainer, TrainerConfig
from tests.unit.learner.samples import make_samples

NEW = make_samples(4, "new", seed=1, value=2)
MEMORY = {"a": make_samples(2, "a"), "b": make_samples(2, "b", seed=2)}


def make_trainer(strategy: StrategyConfig, seed: int = 0) -> Trainer:
    config = TrainerConfig(crops=CropConfig(size=64))
    return Trainer(build_model(ModelConfig(), 3), strategy, config, torch.device("cpu"), np.random.default_rng(seed))


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in trainer.model.state_dict().items()}


EVERYTHING = ComposedConfig(
    memory=ReplayConfig(),
    penalties=(OnlineEwcConfig(), SiConfig(), LwfConfig(), LflConfig()),
    projection=GemProjectionConfig(refresh_every=2),
)


@pytest.mark.parametrize("strategy", [ReplayConfig(), GemConfig(), EVERYTHING], ids=lambda c: c.kind)
def test_a_resumed_run_equals_one_never_interrupted(strategy: StrategyConfig, tmp_path: Path) -> None:
    whole = make_trainer(strategy)
    store = CheckpointStore(tmp_path)
    whole.begin_domain("a")
    whole.step(MEMORY["a"], {})
    whole.end_domain({"a": MEMORY["a"]})
    whole.begin_domain("new")
    whole.step(NEW, MEMORY)
    store.save(Checkpoint(Position(step=2, offsets={"labels-0": 7}), whole.state(), {"note": "x"}))
    for _ in range(2):
        whole.step(NEW, MEMORY)

    resumed = make_trainer(strategy, seed=9)
    found = store.load_latest()
    assert found is not None
    assert found.position.offsets == {"labels-0": 7}
    assert found.extra == {"note": "x"}
    resumed.restore(found.state)
    for _ in range(2):
        resumed.step(NEW, MEMORY)
    assert resumed.steps == whole.steps == 4
    ours, theirs = weights(resumed), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_pretraining_learns_what_is_there_and_online_learning_freezes_statistics() -> None:
    trainer = make_trainer(ReplayConfig())
    samples, held_out = make_samples(16), make_samples(4, seed=5)
    losses = trainer.pretrain(samples, steps=30)
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert evaluate(trainer.model, held_out, 3, 16)["a"].dice > 0.5
    before = weights(trainer)
    trainer.step(NEW, MEMORY)
    after = weights(trainer)
    statistics = [name for name in before if "running_" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)


def test_pretraining_stops_when_told() -> None:
    assert len(make_trainer(ReplayConfig()).pretrain(make_samples(4), steps=50, stop=lambda made: made >= 2)) == 2


def test_a_damaged_checkpoint_is_not_skipped(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    assert store.load_latest() is None
    trainer = make_trainer(ReplayConfig())
    folder = store.save(Checkpoint(Position(), trainer.state(), {}))
    data = (folder / "tensors.safetensors").read_bytes()
    (folder / "tensors.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="cannot be read"):
        store.load_latest()


def test_the_newest_checkpoints_are_kept_and_leftovers_swept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    state = make_trainer(ReplayConfig()).state()
    (tmp_path / "step-000000000001.partial").mkdir()
    for step in range(4):
        store.save(Checkpoint(Position(step=step), state, {}))
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-000000000003", "step-000000000004"]
    latest = store.load_latest()
    assert latest is not None
    assert latest.position.step == 3


def test_the_rate_rises_while_the_optimiser_knows_little() -> None:
    trainer = make_trainer(ReplayConfig())
    config = TrainerConfig()
    lengths = []
    for _ in range(2):
        before = weights(trainer)
        trainer.step(NEW, MEMORY)
        after = weights(trainer)
        lengths.append(max(float((after[name] - before[name]).abs().max()) for name in before))
    # Adam's first step is as long as its rate, whatever the gradient.
    assert lengths[0] == pytest.approx(config.learning_rate / config.warmup_steps, rel=0.1)
    assert lengths[1] > lengths[0]
