import pytest
import torch
from torch import nn

from learner.strategies import Batch
from learner.strategies.composed import ComposedConfig
from learner.strategies.gradients import flatten
from learner.strategies.lwf import LwfConfig
from learner.strategies.replay import ReplayConfig
from learner.strategies.si import SiAnchor, SiConfig
from tests.contracts.strategy import MEMORY, Setup, make_batch


def descend(hessian: torch.Tensor, start: torch.Tensor, rate: float = 1e-3, steps: int = 12_000) -> torch.Tensor:
    """Return the path integrals of gradient descent from a start to the minimum at zero, (P,)."""
    parameter = nn.Parameter(start.clone())
    anchor = SiAnchor(SiConfig(), (parameter,))
    for _ in range(steps):
        before = flatten((parameter,))
        gradient = hessian @ before
        with torch.no_grad():
            parameter.sub_(rate * gradient)
        anchor.after_step(before, flatten((parameter,)), gradient)
    return anchor._path


def test_on_a_diagonal_quadratic_twice_the_importance_is_the_hessian() -> None:
    """Section 4 of the paper: every path lowers the loss by h/2 delta^2, so that c = 1 restores the loss itself."""
    diagonal, start = torch.tensor([0.5, 1.0, 2.0, 4.0]), torch.tensor([1.0, -2.0, 0.5, 1.5])
    importance = descend(torch.diag(diagonal), start) / start.square()
    assert torch.allclose(2 * importance, diagonal, rtol=5e-3)


def test_on_any_quadratic_it_is_the_hessians_diagonal_on_average_over_starts() -> None:
    """For starts without a preferred direction, the mean path integral is sigma^2/2 diag(H)."""
    turn, _ = torch.linalg.qr(torch.tensor([[1.0, 0.4, -0.3], [0.2, 1.0, 0.5], [-0.6, 0.1, 1.0]]))
    hessian = turn @ torch.diag(torch.tensor([0.8, 2.0, 4.0])) @ turn.T
    assert (hessian - torch.diag(hessian.diagonal())).abs().max() > 0.3
    # The unit vectors of any basis have the identity as their mean outer product, as random starts do.
    paths = torch.stack([descend(hessian, start, rate=2e-3, steps=4000) for start in 3**0.5 * torch.eye(3)])
    assert torch.allclose(2 * paths.mean(0), hessian.diagonal(), rtol=1e-2)
    assert not torch.allclose(2 * paths[0] / 3, hessian.diagonal(), rtol=0.1)  # of one start it is not


def test_importance_follows_equation_five() -> None:
    parameter = nn.Parameter(torch.tensor([0.0, 0.0]))
    anchor = SiAnchor(SiConfig(weight=2.0, damping=0.1), (parameter,))
    assert anchor.pull(flatten((parameter,))) is None
    for target, gradient in ((torch.tensor([1.0, 1.0]), torch.tensor([-2.0, 1.0])),):
        before = flatten((parameter,))
        with torch.no_grad():
            parameter.copy_(target)
        anchor.after_step(before, flatten((parameter,)), gradient)
    anchor.end_domain([])
    pull = anchor.pull(torch.tensor([2.0, 2.0]))
    assert pull is not None
    omega = 2.0 / (1.0 + 0.1)  # the second parameter's way raised the loss: none for it
    assert float(pull.value) == pytest.approx(2.0 * omega)
    assert pull.gradient.tolist() == pytest.approx([2.0 * 2.0 * omega, 0.0])
    # A second domain adds to it, and the anchor moves.
    before = flatten((parameter,))
    with torch.no_grad():
        parameter.copy_(torch.tensor([1.0, 3.0]))
    anchor.after_step(before, flatten((parameter,)), torch.tensor([0.0, -1.0]))
    anchor.end_domain([])
    pull = anchor.pull(torch.tensor([2.0, 3.0]))
    assert pull is not None
    assert float(pull.value) == pytest.approx(2.0 * omega)


@pytest.mark.parametrize("memory", [None, ReplayConfig()])
def test_the_path_takes_the_unregularised_gradient_and_the_step_that_was_taken(memory: ReplayConfig | None) -> None:
    """With momentum, weight decay and a clipped gradient the step is not the gradient: the real one counts."""
    setup = Setup(ComposedConfig(memory=memory, penalties=(SiConfig(weight=50.0),)), clip_norm=0.1)
    setup.learn_a_domain("masks")
    setup.strategy.observe(make_batch(4), MEMORY)  # away from the anchor
    anchor = setup.strategy._anchors["si"]
    assert isinstance(anchor, SiAnchor)
    path, before = anchor._path.clone(), flatten(setup.parameters)
    batch = make_batch(5)
    loss = setup.strategy._passes._loss
    joined = batch if memory is None else Batch.join([batch, *(Batch(b.images, b.targets) for b in MEMORY.values())])
    expected = torch.autograd.grad(loss(setup.model(joined.images), joined.targets).mean(), setup.parameters)
    gradient = torch.cat([g.flatten() for g in expected])
    report = setup.strategy.observe(batch, MEMORY)
    assert report.penalty > 0
    assert report.gradient_norm != pytest.approx(float(gradient.norm()), rel=1e-3)
    step = flatten(setup.parameters) - before
    assert torch.allclose(anchor._path - path, -gradient * step, rtol=1e-3, atol=1e-8)


def test_with_a_distillation_the_path_is_that_of_all_that_is_taught() -> None:
    setup = Setup(ComposedConfig(penalties=(SiConfig(), LwfConfig())))
    setup.learn_a_domain("masks")
    report = setup.strategy.observe(make_batch(4), {})
    assert report.penalty == pytest.approx(0.0, abs=1e-6)
    anchor = setup.strategy._anchors["si"]
    assert isinstance(anchor, SiAnchor)
    assert anchor._path.abs().sum() > 0


def test_importance_is_found_where_the_weights_moved() -> None:
    """Keeping views of live weights instead of copies makes every way 0 and switches the penalty off."""
    setup = Setup(SiConfig())
    setup.learn_a_domain("masks")
    anchor = setup.strategy._anchors["si"]
    assert isinstance(anchor, SiAnchor)
    pull = anchor.pull(flatten(setup.parameters) + 1.0)
    assert pull is not None
    assert float(pull.value) > 0
