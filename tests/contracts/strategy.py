"""What every strategy must do, with masks and with classes. Subclass, and provide ``config``."""

import copy
import json
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from learner.losses import ClassLoss, LossConfig, SegmentationLoss
from learner.state import State
from learner.strategies import Batch, DivergedError, LossFunction, Strategy, StrategyConfig, make_strategy

CLASSES = 3
Labels = Literal["masks", "classes"]


class Setup:
    """A small network with batch normalisation, an optimiser and a strategy over it."""

    def __init__(
        self, config: StrategyConfig, labels: Labels = "masks", *, seed: int = 0, clip_norm: float | None = None
    ) -> None:
        head = (
            [nn.Conv2d(8, CLASSES, 1)]
            if labels == "masks"
            else [nn.AvgPool2d(8), nn.Flatten(), nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, CLASSES)]
        )
        loss: LossFunction = SegmentationLoss(LossConfig()) if labels == "masks" else ClassLoss()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), *head).eval()
            for parameter in self.model.parameters():
                nn.init.normal_(parameter, std=0.3)
        self.parameters = tuple(self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-2)
        self.strategy: Strategy = make_strategy(
            config, self.model, self.parameters, self.optimizer, loss, clip_norm=clip_norm
        )

    def weights(self) -> dict[str, torch.Tensor]:
        return copy.deepcopy(self.model.state_dict())

    def learn_a_domain(self, labels: Labels) -> None:
        """Learn one domain, and begin another."""
        self.strategy.begin_domain("a")
        for seed in range(3):
            self.strategy.observe(make_batch(seed, labels=labels), {})
        self.strategy.end_domain({"a": make_batch(1, labels=labels)})
        self.strategy.begin_domain("b")


def make_batch(seed: int, n: int = 4, labels: Labels = "masks") -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 1, 16, 16, generator=generator)
    if labels == "masks":
        masks = (images[:, 0] > 0.5 * seed).long() * (1 + seed % 2)
        return Batch(images, masks, torch.randn(n, CLASSES, 4, 4, generator=generator))
    classes = (images.mean(dim=(1, 2, 3)) > 0).long() * (1 + seed % 2)
    return Batch(images, classes, torch.randn(n, CLASSES, generator=generator))


def make_memory(labels: Labels = "masks") -> dict[str, Batch]:
    return {"a": make_batch(1, 2, labels), "b": make_batch(2, 3, labels)}


MEMORY = make_memory()


def written(state: State) -> State:
    """Return what is left of a state once it was written and read."""
    tensors = load(save({name: t.detach().clone().contiguous() for name, t in state.tensors.items()}))
    return State(tensors, json.loads(json.dumps(state.values)))


def equal(first: Setup, second: Setup) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters, second.parameters, strict=True))


class StrategyContract:
    """Holds for every strategy."""

    @pytest.fixture
    def config(self) -> StrategyConfig:
        raise NotImplementedError

    @pytest.fixture(params=["masks", "classes"])
    def labels(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def test_learns_the_new_batch(self, config: StrategyConfig, labels: Labels) -> None:
        setup = Setup(config, labels)
        losses = [setup.strategy.observe(make_batch(3, labels=labels), {}).loss for _ in range(30)]
        assert losses[-1] < 0.8 * losses[0]

    def test_the_same_steps_give_the_same_weights(self, config: StrategyConfig, labels: Labels) -> None:
        first, second = Setup(config, labels), Setup(config, labels)
        for setup in (first, second):
            setup.learn_a_domain(labels)
            for seed in range(4):
                setup.strategy.observe(make_batch(seed, labels=labels), make_memory(labels))
        assert equal(first, second)

    def test_leaves_batch_statistics_alone(self, config: StrategyConfig, labels: Labels) -> None:
        setup = Setup(config, labels)
        before = setup.weights()
        setup.model.train()  # even where a caller forgot
        setup.learn_a_domain(labels)
        setup.model.train()
        setup.strategy.observe(make_batch(3, labels=labels), make_memory(labels))
        after = setup.weights()
        assert torch.equal(before["1.running_mean"], after["1.running_mean"])
        assert torch.equal(before["1.running_var"], after["1.running_var"])
        assert not torch.equal(before["0.weight"], after["0.weight"])

    def test_a_loss_that_is_not_finite_changes_nothing(self, config: StrategyConfig, labels: Labels) -> None:
        setup, undisturbed = Setup(config, labels), Setup(config, labels)
        for each in (setup, undisturbed):
            each.learn_a_domain(labels)
            each.strategy.observe(make_batch(5, labels=labels), make_memory(labels))
        before = setup.weights()
        good = make_batch(3, labels=labels)
        bad = Batch(torch.full_like(good.images, float("nan")), good.targets, good.logits)
        with pytest.raises(DivergedError):
            setup.strategy.observe(bad, make_memory(labels))
        assert all(torch.equal(before[name], value) for name, value in setup.weights().items())
        for each in (setup, undisturbed):
            each.strategy.observe(good, make_memory(labels))
        assert equal(setup, undisturbed)

    def test_a_state_written_within_a_domain_gives_the_same_next_steps(
        self, config: StrategyConfig, labels: Labels
    ) -> None:
        whole, resumed = Setup(config, labels), Setup(config, labels, seed=1)
        whole.learn_a_domain(labels)
        for seed in range(2):
            whole.strategy.observe(make_batch(seed, labels=labels), make_memory(labels))
        state = written(whole.strategy.state())
        # First the strategy and then the network, and the other way round, must not matter: here as the trainer does.
        resumed.model.load_state_dict(whole.weights())
        resumed.optimizer.load_state_dict(copy.deepcopy(whole.optimizer.state_dict()))
        resumed.strategy.restore(state)
        assert resumed.strategy.domain == whole.strategy.domain == "b"
        reports = []
        for setup in (whole, resumed):
            steps = [setup.strategy.observe(make_batch(s, labels=labels), make_memory(labels)) for s in (3, 4)]
            setup.strategy.end_domain({"b": make_batch(5, labels=labels)})
            setup.strategy.begin_domain("c")
            steps += [setup.strategy.observe(make_batch(s, labels=labels), make_memory(labels)) for s in (6, 7)]
            reports.append(steps)
        assert reports[0] == reports[1]
        assert equal(whole, resumed)

    def test_a_state_is_a_copy_that_no_step_changes(self, config: StrategyConfig, labels: Labels) -> None:
        setup = Setup(config, labels)
        setup.learn_a_domain(labels)
        setup.strategy.observe(make_batch(3, labels=labels), make_memory(labels))
        state = setup.strategy.state()
        kept = written(state)
        setup.strategy.observe(make_batch(4, labels=labels), make_memory(labels))
        setup.strategy.end_domain({"b": make_batch(5, labels=labels)})
        assert all(torch.equal(tensor, kept.tensors[name]) for name, tensor in state.tensors.items())
        assert state.values == kept.values

    def test_an_empty_batch_is_refused(self, config: StrategyConfig, labels: Labels) -> None:
        batch = make_batch(3, labels=labels)
        empty = Batch(batch.images[:0], batch.targets[:0])
        with pytest.raises(ValueError, match="at least one new sample"):
            Setup(config, labels).strategy.observe(empty, make_memory(labels))

    def test_a_domain_without_samples_can_end(self, config: StrategyConfig, labels: Labels) -> None:
        setup = Setup(config, labels)
        setup.strategy.end_domain({})
        setup.strategy.observe(make_batch(3, labels=labels), make_memory(labels))
        assert all(torch.isfinite(p).all() for p in setup.parameters)
