"""What every strategy must do. Subclass, and provide ``config``."""

import copy

import pytest
import torch
from torch import nn

from learner.losses import LossConfig, SegmentationLoss
from learner.strategies import Batch, DivergedError, Strategy, StrategyConfig, make_strategy

CLASSES = 3


class Setup:
    """A small network with batch normalisation, an optimiser and a strategy over it."""

    def __init__(self, config: StrategyConfig) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, CLASSES, 1)
            ).eval()
        self.parameters = tuple(self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-2)
        self.strategy: Strategy = make_strategy(
            config, self.model, self.parameters, self.optimizer, SegmentationLoss(LossConfig())
        )

    def weights(self) -> dict[str, torch.Tensor]:
        return copy.deepcopy(self.model.state_dict())


def make_batch(seed: int, n: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 1, 16, 16, generator=generator)
    return Batch(images, (images[:, 0] > 0.5 * seed).long() * (1 + seed % 2))


MEMORY = {"a": make_batch(1, 2), "b": make_batch(2, 3)}


class StrategyContract:
    """Holds for every strategy."""

    @pytest.fixture
    def config(self) -> StrategyConfig:
        raise NotImplementedError

    def test_learns_the_new_batch(self, config: StrategyConfig) -> None:
        setup = Setup(config)
        losses = [setup.strategy.observe(make_batch(3), {}).loss for _ in range(30)]
        assert losses[-1] < 0.8 * losses[0]

    def test_the_same_steps_give_the_same_weights(self, config: StrategyConfig) -> None:
        first, second = Setup(config), Setup(config)
        for setup in (first, second):
            for seed in range(4):
                setup.strategy.observe(make_batch(seed), MEMORY)
        assert all(torch.equal(a, b) for a, b in zip(first.parameters, second.parameters, strict=True))

    def test_leaves_batch_statistics_alone(self, config: StrategyConfig) -> None:
        setup = Setup(config)
        before = setup.weights()
        setup.model.train()  # even where a caller forgot
        setup.strategy.observe(make_batch(3), MEMORY)
        after = setup.weights()
        assert torch.equal(before["1.running_mean"], after["1.running_mean"])
        assert torch.equal(before["1.running_var"], after["1.running_var"])
        assert not torch.equal(before["0.weight"], after["0.weight"])

    def test_a_loss_that_is_not_finite_changes_nothing(self, config: StrategyConfig) -> None:
        setup = Setup(config)
        before = setup.weights()
        bad = Batch(torch.full((2, 1, 16, 16), float("nan")), torch.zeros(2, 16, 16, dtype=torch.int64))
        with pytest.raises(DivergedError):
            setup.strategy.observe(bad, MEMORY)
        assert all(torch.equal(before[name], value) for name, value in setup.weights().items())
        setup.strategy.observe(make_batch(3), MEMORY)
        assert all(torch.isfinite(p).all() for p in setup.parameters)

    def test_refuses_an_empty_batch_and_ignores_an_empty_memory(self, config: StrategyConfig) -> None:
        setup = Setup(config)
        empty = make_batch(1, 0)
        with pytest.raises(ValueError, match="at least one"):
            setup.strategy.observe(empty, {})
        assert setup.strategy.observe(make_batch(1), {"a": empty}).memory_losses == {}

    def test_continues_from_its_state(self, config: StrategyConfig) -> None:
        whole, part = Setup(config), Setup(config)
        for setup in (whole, part):
            setup.strategy.begin_domain("c")
            setup.strategy.observe(make_batch(0), MEMORY)
        resumed = Setup(config)
        resumed.model.load_state_dict(part.model.state_dict())
        resumed.optimizer.load_state_dict(part.optimizer.state_dict())
        resumed.strategy.restore(part.strategy.state())
        assert resumed.strategy.domain == "c"
        for setup in (whole, resumed):
            setup.strategy.observe(make_batch(1), MEMORY)
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters, resumed.parameters, strict=True))
