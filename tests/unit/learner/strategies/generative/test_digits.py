"""Real digits: replay of what is generated holds what fine-tuning loses, and stores nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from learner.losses import ClassLoss
from learner.strategies import Batch, StrategyConfig, make_strategy
from learner.strategies.fine_tuning import FineTuningConfig
from learner.strategies.generative import (
    BrainInspiredReplayConfig,
    GenerativeReplayConfig,
    GeneratorConfig,
    MlpClassifier,
)

GENERATOR = GeneratorConfig(latent=20, hidden=(100, 100), reconstruction="bce", learning_rate=2e-3)
STEPS = 250
MARGIN = 0.05
"""Of accuracy."""


@dataclass(frozen=True)
class Task:
    images: Tensor
    targets: Tensor
    test_images: Tensor
    test_targets: Tensor


def digits() -> tuple[Tensor, Tensor]:
    data = load_digits()
    return torch.tensor(data.data / 16.0, dtype=torch.float32), torch.tensor(data.target)


def task(images: Tensor, targets: Tensor) -> Task:
    held_out = torch.arange(len(images)) % 4 == 0
    return Task(images[~held_out], targets[~held_out], images[held_out], targets[held_out])


def permuted() -> list[Task]:
    images, targets = digits()
    rng = torch.Generator().manual_seed(3)
    return [task(images[:, torch.randperm(64, generator=rng)], targets) for _ in range(3)]


def split() -> list[Task]:
    """Even and odd, of two more digits at a time: the domain-incremental scenario."""
    images, targets = digits()
    return [task(images[targets // 2 == i], targets[targets // 2 == i] % 2) for i in range(5)]


def final_accuracy(config: StrategyConfig, tasks: list[Task], outputs: int) -> float:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MlpClassifier(64, outputs, (100, 100))
    parameters = tuple(model.parameters())
    strategy = make_strategy(config, model, parameters, torch.optim.Adam(parameters, lr=2e-3), ClassLoss())
    rng = torch.Generator().manual_seed(0)
    for i, each in enumerate(tasks):
        strategy.begin_domain(str(i))
        for _ in range(STEPS):
            drawn = torch.randint(len(each.images), (32,), generator=rng)
            strategy.observe(Batch(each.images[drawn], each.targets[drawn]), {})
        strategy.end_domain({})
    with torch.no_grad():
        right = [(model(t.test_images).argmax(dim=1) == t.test_targets).float().mean().item() for t in tasks]
    return sum(right) / len(right)


@pytest.mark.parametrize(("stream", "outputs", "distill"), [(permuted, 10, True), (split, 2, False)])
def test_what_is_generated_holds_what_fine_tuning_loses(
    stream: Callable[[], list[Task]], outputs: int, distill: bool
) -> None:
    tasks = stream()
    generative = GenerativeReplayConfig(generator=GENERATOR, distill=distill)
    inspired = BrainInspiredReplayConfig(generator=GENERATOR, gated_share=0.5)
    plain, *replayed = (final_accuracy(config, tasks, outputs) for config in (FineTuningConfig(), generative, inspired))
    assert min(replayed) > plain + MARGIN
