import pytest
import torch
from torch import nn
from torch.nn import functional

from learner.losses import ClassLoss
from learner.strategies import Batch, make_strategy
from learner.strategies import fisher as module
from learner.strategies.ewc import EwcAnchor, EwcConfig, OnlineEwcConfig
from learner.strategies.fisher import DiagonalFisher, FisherKind
from learner.strategies.gradients import flatten
from tests.contracts.strategy import Labels, Setup, make_batch


def squared_gradient(value: torch.Tensor, parameters: tuple[nn.Parameter, ...]) -> torch.Tensor:
    found = torch.autograd.grad(value, parameters)
    return torch.cat([g.flatten() for g in found]).square()


def brute_force(setup: Setup, batch: Batch, kind: FisherKind) -> torch.Tensor:
    """One sample and one label after the other."""
    total = torch.zeros(sum(p.numel() for p in setup.parameters))
    for image, target in zip(batch.images, batch.targets, strict=True):
        if kind == "empirical":
            logits = setup.model(image[None])
            total += target.numel() * squared_gradient(
                -functional.cross_entropy(logits, target[None]), setup.parameters
            )
            continue
        probabilities = torch.softmax(setup.model(image[None]), 1).detach()[0]
        for k, p in enumerate(probabilities):
            logs = torch.log_softmax(setup.model(image[None]), 1)
            total += p * squared_gradient(logs[0, k], setup.parameters)
    return total / len(batch)


@pytest.mark.parametrize(("labels", "kind"), [("classes", "exact"), ("classes", "empirical"), ("masks", "empirical")])
@pytest.mark.parametrize("budget", [1, 64 * 2**20])
def test_fisher_equals_a_loop(labels: Labels, kind: FisherKind, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BYTES", budget)
    setup = Setup(EwcConfig(), labels)
    batches = [make_batch(1, 5, labels), make_batch(2, 3, labels)]
    ours = DiagonalFisher(setup.model, setup.parameters)(batches, kind)
    theirs = brute_force(setup, Batch.join(batches), kind)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    assert ours.sum() > 0


def test_for_masks_the_exact_fisher_is_right_on_average() -> None:
    """The expectation over masks of independent pixels is the sum of the pixels' own."""
    setup, batch = Setup(EwcConfig(), "masks"), make_batch(1, 1)
    small = Batch(batch.images[..., :4, :4], batch.targets[..., :4, :4])
    expected = torch.zeros(sum(p.numel() for p in setup.parameters))
    logs = torch.log_softmax(setup.model(small.images), 1)[0]
    for row in range(4):
        for column in range(4):
            for value in logs[:, row, column]:
                gradients = torch.autograd.grad(value, setup.parameters, retain_graph=True)
                square = torch.cat([g.flatten() for g in gradients]).square()
                expected += value.detach().exp() * square / 16
    fisher = DiagonalFisher(setup.model, setup.parameters)
    drawn = torch.stack([fisher([small], "exact", seed) for seed in range(300)])
    # Six standard errors of the mean for the sum, and a tenth for the largest.
    error = drawn.sum(1).std() / 300**0.5
    assert abs(float(drawn.sum(1).mean() - expected.sum())) < 6 * error
    top = expected.argsort(descending=True)[:5]
    assert torch.allclose(drawn.mean(0)[top], expected[top], rtol=0.35)


def consolidate(anchor: EwcAnchor, setup: Setup, seeds: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Move the weights and end a domain, several times; return Fisher information and weights of each."""
    found = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in setup.parameters:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        batch = make_batch(seed, labels="classes")
        information = DiagonalFisher(setup.model, setup.parameters)([batch], "exact")
        found.append((information, flatten(setup.parameters)))
        anchor.end_domain([batch])
    return found


def test_one_term_for_each_domain_in_the_space_of_one() -> None:
    setup = Setup(EwcConfig(), "classes")
    anchor = EwcAnchor(EwcConfig(weight=3.0), setup.model, setup.parameters)
    terms = consolidate(anchor, setup, [1, 2, 3, 4])
    here = flatten(setup.parameters) + 0.2
    pull = anchor.pull(here)
    assert pull is not None
    value = sum(1.5 * (f * (here - a).square()).sum() for f, a in terms)
    gradient = sum(3.0 * f * (here - a) for f, a in terms)
    assert float(pull.value) == pytest.approx(float(value), rel=1e-5)
    assert torch.allclose(pull.gradient, torch.as_tensor(gradient), rtol=1e-4, atol=1e-6)


def test_online_there_is_one_anchor_and_information_fades() -> None:
    setup = Setup(EwcConfig(), "classes")
    anchor = EwcAnchor(OnlineEwcConfig(weight=3.0, decay=0.5), setup.model, setup.parameters)
    (first, _), (second, _), (third, last) = consolidate(anchor, setup, [1, 2, 3])
    here = last + 0.2
    pull = anchor.pull(here)
    assert pull is not None
    information = 0.25 * first + 0.5 * second + third
    assert torch.allclose(pull.gradient, 3.0 * information * 0.2, rtol=1e-4, atol=1e-6)


def test_the_penalty_holds_what_the_first_domain_needs() -> None:
    """Two inputs: the first domain depends on the first, the second on both."""

    def train(weight: float | None) -> float:
        model = nn.Linear(2, 2, bias=False)
        nn.init.zeros_(model.weight)
        config = EwcConfig(weight=weight) if weight else EwcConfig()
        parameters = tuple(model.parameters())
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        strategy = make_strategy(config, model, parameters, optimizer, ClassLoss())
        x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        first = Batch(x, torch.tensor([0, 1]))
        for _ in range(20):
            strategy.observe(first, {})
        if weight:
            strategy.end_domain({"a": first})
        second = Batch(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]), torch.tensor([0, 1]))
        for _ in range(20):
            strategy.observe(second, {})
        return float(ClassLoss()(model(x), first.targets).mean().detach())

    assert train(100.0) < 0.5 * train(None)
