"""The product's trainer with the product's network, and no scan kept."""

from pathlib import Path

import numpy as np
import torch

from learner.checkpoint import Checkpoint, CheckpointStore, Position
from learner.crops import CropConfig
from learner.model import ModelConfig, build_model
from learner.strategies.generative import GENERATED, BrainInspiredReplayConfig, GeneratorConfig
from learner.trainer import Trainer, TrainerConfig
from tests.unit.learner.samples import make_samples

OLD = make_samples(6, "old")
NEW = make_samples(4, "new", seed=1)
CONFIG = BrainInspiredReplayConfig(generator=GeneratorConfig(latent=8, hidden=(32,), channels=8))


def make_trainer(seed: int = 0) -> Trainer:
    config = TrainerConfig(crops=CropConfig(size=64))
    return Trainer(build_model(ModelConfig(), 2), CONFIG, config, torch.device("cpu"), np.random.default_rng(seed))


def test_a_first_model_then_another_domain_resumed_in_the_middle(tmp_path: Path) -> None:
    whole = make_trainer()
    whole.begin_domain("old")
    whole.pretrain(OLD, steps=4, batch_size=4)
    encoder = {name: p.detach().clone() for name, p in whole.model.named_parameters() if "encoder" in name}
    whole.end_domain({})
    whole.begin_domain("new")
    # The first model's samples are replayed though no step has seen them.
    assert GENERATED in whole.step(NEW, {}).memory_losses
    store = CheckpointStore(tmp_path)
    store.save(Checkpoint(Position(step=1), whole.state(), {}))
    resumed = make_trainer(seed=9)
    found = store.load_latest()
    assert found is not None
    resumed.restore(found.state)
    for trainer in (whole, resumed):
        trainer.step(NEW, {})
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    after = dict(whole.model.named_parameters())
    assert encoder
    assert all(torch.equal(value, after[name]) for name, value in encoder.items())
