"""What the strategies are for: five permutations of scikit-learn's digits, learned one after the other, once."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from learner.losses import ClassLoss
from learner.strategies import Batch, StrategyConfig, make_strategy
from learner.strategies.a_gem import AGemProjectionConfig
from learner.strategies.composed import ComposedConfig
from learner.strategies.der import DerConfig
from learner.strategies.ewc import OnlineEwcConfig
from learner.strategies.fine_tuning import FineTuningConfig
from learner.strategies.gem import GemConfig
from learner.strategies.replay import ReplayConfig
from learner.strategies.si import SiConfig

TASKS, BATCH, PER_TASK, REPLAYED = 5, 10, 50, 40


class Task:
    """The digits with their pixels in another order."""

    def __init__(self, index: int) -> None:
        digits = load_digits()
        order = np.random.default_rng(index).permutation(64)
        shuffled = np.random.default_rng(0).permutation(len(digits.target))
        images = torch.from_numpy((digits.data[shuffled][:, order] / 16.0).astype(np.float32))
        targets = torch.from_numpy(digits.target[shuffled].astype(np.int64))
        self.train = Batch(images[:1400], targets[:1400])
        self.test = Batch(images[1400:], targets[1400:])


def pick(batch: Batch, at: np.ndarray) -> Batch:
    index = torch.from_numpy(at)
    return Batch(batch.images[index], batch.targets[index], None if batch.logits is None else batch.logits[index])


@lru_cache
def final_accuracy(config: StrategyConfig, seed: int = 0) -> float:
    """Learn the tasks in order; return the mean accuracy over all of them at the end."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)).eval()
    parameters = tuple(model.parameters())
    strategy = make_strategy(config, model, parameters, torch.optim.SGD(parameters, lr=0.1), ClassLoss())
    tasks = [Task(i) for i in range(TASKS)]
    memory: dict[str, Batch] = {}
    for index, task in enumerate(tasks):
        strategy.begin_domain(f"t{index}")
        for at in rng.permutation(1400).reshape(-1, BATCH):
            each = max(1, REPLAYED // max(1, len(memory)))
            drawn = {
                name: pick(b, rng.choice(PER_TASK, min(each, PER_TASK), replace=False)) for name, b in memory.items()
            }
            strategy.observe(pick(task.train, at), drawn)
        kept = pick(task.train, rng.choice(1400, PER_TASK, replace=False))
        with torch.no_grad():
            memory[f"t{index}"] = Batch(kept.images, kept.targets, model(kept.images))
        strategy.end_domain({f"t{index}": task.train})
    with torch.no_grad():
        return float(np.mean([(model(t.test.images).argmax(1) == t.test.targets).float().mean() for t in tasks]))


@pytest.mark.parametrize(
    "config",
    [
        ReplayConfig(),
        DerConfig(),
        GemConfig(),
        GemConfig(replay=False),
        GemConfig(refresh_every=2),
        ComposedConfig(memory=DerConfig(), penalties=(SiConfig(),), projection=AGemProjectionConfig()),
    ],
    ids=repr,
)
def test_with_a_memory_old_tasks_are_kept(config: StrategyConfig) -> None:
    assert final_accuracy(config) > final_accuracy(FineTuningConfig()) + 0.12


@pytest.mark.parametrize("config", [SiConfig(), OnlineEwcConfig()], ids=repr)
def test_a_penalty_changes_what_is_learned(config: StrategyConfig) -> None:
    """A penalty that is switched off by mistake learns exactly as if it were not there."""
    accuracy = final_accuracy(config)
    assert accuracy != final_accuracy(FineTuningConfig())
    assert accuracy > final_accuracy(FineTuningConfig()) - 0.02
