import numpy as np
import pytest
import scipy.stats
import torch
from scipy.special import logsumexp

from learner.strategies.generative.prior import MixturePrior, StandardPrior, log_normal


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(latent: int = 3) -> MixturePrior:
    prior = MixturePrior(latent)
    prior.add_modes(2, rng())
    prior.add_modes(1, rng(1))
    with torch.no_grad():
        for block in prior.log_variances:
            block.copy_(torch.randn(block.shape, generator=rng(2)))
    return prior


def test_the_density_of_a_gaussian_is_scipys() -> None:
    z, mean, log_variance = torch.randn(3, 5, 4, generator=rng())
    theirs = scipy.stats.norm(mean.numpy(), np.exp(0.5 * log_variance.numpy())).logpdf(z.numpy()).sum(axis=1)
    assert np.allclose(log_normal(z, mean, log_variance).numpy(), theirs, atol=1e-5)


def test_the_density_of_the_mixture_is_scipys() -> None:
    prior = mixture()
    z = torch.randn(6, 3, generator=rng(3))
    weights = torch.softmax(torch.randn(6, 3, generator=rng(4)), dim=1)
    means, log_variances = (p.detach().numpy() for p in prior.parameters_of_modes())
    each = np.stack(
        [
            scipy.stats.multivariate_normal(mean, np.diag(np.exp(lv))).logpdf(z.numpy())
            for mean, lv in zip(means, log_variances, strict=True)
        ],
        axis=1,
    )
    theirs = logsumexp(each, b=weights.numpy(), axis=1)
    assert np.allclose(prior.log_density(z, weights).detach().numpy(), theirs, atol=1e-4)


def test_a_known_mode_is_the_only_one_that_learns() -> None:
    prior = mixture()
    weights = torch.tensor([[0.0, 1.0, 0.0]])
    density = prior.log_density(torch.zeros(1, 3), weights)
    assert torch.isfinite(density).all()
    density.sum().backward()
    gradient = torch.cat([block.grad for block in prior.means])
    assert torch.equal(gradient[[0, 2]], torch.zeros(2, 3))
    assert (gradient[1] != 0).all()


def test_samples_come_from_the_mode_that_has_weight() -> None:
    prior = mixture()
    with torch.no_grad():
        for value, block in zip((-50.0, 50.0), prior.means, strict=True):
            block.fill_(value)
    drawn = prior.sample(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]), rng())
    assert (drawn[0] < 0).all()
    assert (drawn[1] > 0).all()


def test_the_standard_divergence_is_the_mean_of_its_estimate() -> None:
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, -0.7]])
    z = mean + torch.randn(200_000, 2, generator=rng()) * torch.exp(0.5 * log_variance)
    zero = torch.zeros(1)
    estimate = (log_normal(z, mean, log_variance) - log_normal(z, zero, zero)).mean()
    closed = StandardPrior(2).divergence(z[:1], mean, log_variance, torch.ones(1, 1))
    assert closed.item() == pytest.approx(estimate.item(), abs=0.01)


def test_the_mixture_of_one_standard_mode_diverges_as_the_standard_normal_does() -> None:
    prior = MixturePrior(2)
    prior.add_modes(1, rng())
    with torch.no_grad():
        prior.means[0].zero_()
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, -0.7]])
    z = mean + torch.randn(200_000, 2, generator=rng()) * torch.exp(0.5 * log_variance)
    estimates = prior.divergence(z, mean, log_variance, torch.ones(len(z), 1))
    closed = StandardPrior(2).divergence(z[:1], mean, log_variance, torch.ones(1, 1))
    assert estimates.mean().item() == pytest.approx(closed.item(), abs=0.01)


def test_the_standard_prior_has_nothing_to_learn() -> None:
    prior = StandardPrior(4)
    prior.add_modes(3, rng())
    assert list(prior.parameters()) == []
