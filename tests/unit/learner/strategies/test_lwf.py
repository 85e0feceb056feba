import pytest
import torch
from torch.nn import functional

from learner.strategies.lwf import LwfConfig, LwfDistillation, distill
from learner.strategies.parts import Outputs
from tests.contracts.strategy import CLASSES, Setup, make_batch


def test_it_is_the_soft_cross_entropy_without_its_constant() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(5, 4, generator=generator, requires_grad=True)
    theirs = torch.randn(5, 4, generator=generator)
    (gradient,) = torch.autograd.grad(distill(ours, theirs, 2.0).mean(), ours)
    soft = torch.softmax(theirs / 2.0, 1)
    expected = 4.0 * functional.cross_entropy(ours / 2.0, soft)
    assert torch.allclose(gradient, torch.autograd.grad(expected, ours)[0], atol=1e-6)
    assert torch.allclose(distill(theirs, theirs, 2.0), torch.zeros(5), atol=1e-6)


def test_over_masks_it_is_the_mean_over_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 3, 6, 5, generator=generator), torch.randn(2, 3, 6, 5, generator=generator)
    by_pixel = torch.stack(
        [distill(ours[:, :, row, column], theirs[:, :, row, column], 2.0) for row in range(6) for column in range(5)]
    )
    assert torch.allclose(distill(ours, theirs, 2.0), by_pixel.mean(0), atol=1e-6)


def test_the_network_is_held_to_what_it_answered_when_the_domain_ended() -> None:
    free, held = Setup(LwfConfig()), Setup(LwfConfig(weight=20.0))
    batch = make_batch(4)
    apart = []
    for setup, ends in ((free, False), (held, True)):
        setup.strategy.observe(make_batch(0), {})
        if ends:
            setup.strategy.end_domain({})
        with torch.no_grad():
            before = setup.model(batch.images)
            assert before.shape[1] == CLASSES
        reports = [setup.strategy.observe(batch, {}) for _ in range(20)]
        assert reports[0].penalty == pytest.approx(0.0, abs=1e-6)
        assert (reports[-1].penalty > 0) == ends
        with torch.no_grad():
            apart.append(float(distill(setup.model(batch.images), before, 2.0).mean()))
    assert apart[1] < 0.5 * apart[0]


def test_the_weight_may_grow_with_the_domains() -> None:
    setup, batch = Setup(LwfConfig()), make_batch(1)
    found = []
    for config in (LwfConfig(), LwfConfig(weighting="domains")):
        part = LwfDistillation(config, setup.model)
        assert part.loss(batch.images, Outputs(torch.zeros(4, CLASSES, 16, 16))) is None
        for _ in range(3):
            part.end_domain([])
        loss = part.loss(batch.images, Outputs(torch.zeros(4, CLASSES, 16, 16)))
        assert loss is not None
        found.append(float(loss))
    assert found[1] == pytest.approx(3 * found[0])
