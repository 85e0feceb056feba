"""What latent variables are expected to be: one Gaussian, or one for each context."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

_LOG_TWO_PI = math.log(2.0 * math.pi)


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log density (...,) of diagonal Gaussians at z (..., Z)."""
    squares = (z - mean).square() * torch.exp(-log_variance)
    return -0.5 * (_LOG_TWO_PI + log_variance + squares).sum(dim=-1)


class Prior(Protocol):
    """A density over latent variables, which samples may know their modes of."""

    def add_modes(self, count: int, rng: torch.Generator) -> None:
        """Make room for further contexts."""
        ...

    def sample(self, weights: Tensor, rng: torch.Generator) -> Tensor:
        """Draw z (N, Z), each from the modes that its row of (N, M) gives weight."""
        ...

    def divergence(self, z: Tensor, mean: Tensor, log_variance: Tensor, weights: Tensor) -> Tensor:
        """Return how far the posteriors, all (N, Z), with a draw z of each, are from the prior: (N,)."""
        ...


class StandardPrior(nn.Module):
    """The standard normal; it has no parameters and no modes.

    Parameters
    ----------
    latent : int
        Z.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self._latent = latent

    def add_modes(self, count: int, rng: torch.Generator) -> None:
        """Do nothing: there is one mode for all."""

    def sample(self, weights: Tensor, rng: torch.Generator) -> Tensor:
        """Draw z (N, Z)."""
        return torch.randn(len(weights), self._latent, generator=rng).to(weights)

    def divergence(self, z: Tensor, mean: Tensor, log_variance: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG002 - the protocol's
        """Return the Kullback-Leibler divergence, in closed form: (N,)."""
        return 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(dim=-1)


class MixturePrior(nn.Module):
    """A mixture of Gaussians whose means and variances are learned.

    Parameters
    ----------
    latent : int
        Z.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self._latent = latent
        # In blocks, because contexts come one after another and optimisers hold what they have met.
        self.means = nn.ParameterList()
        self.log_variances = nn.ParameterList()

    def add_modes(self, count: int, rng: torch.Generator) -> None:
        """Add Gaussians: their means are drawn, their variances are 1."""
        device = self.means[0].device if len(self.means) else torch.device("cpu")
        self.means.append(nn.Parameter(torch.randn(count, self._latent, generator=rng).to(device)))
        self.log_variances.append(nn.Parameter(torch.zeros(count, self._latent, device=device)))

    def parameters_of_modes(self) -> tuple[Tensor, Tensor]:
        """Return the means and log variances, (M, Z) each."""
        return torch.cat(list(self.means)), torch.cat(list(self.log_variances))

    def sample(self, weights: Tensor, rng: torch.Generator) -> Tensor:
        """Draw z (N, Z), each from one of the modes that its row of (N, M) gives weight."""
        means, log_variances = self.parameters_of_modes()
        modes = torch.multinomial(weights.cpu(), 1, generator=rng)[:, 0].to(means.device)
        noise = torch.randn(len(weights), self._latent, generator=rng).to(means)
        return means[modes] + noise * torch.exp(0.5 * log_variances[modes])

    def log_density(self, z: Tensor, weights: Tensor) -> Tensor:
        """Return the log density (N,) at z (N, Z) of the mixtures with the weights (N, M), which sum to 1."""
        means, log_variances = self.parameters_of_modes()
        each = log_normal(z.unsqueeze(1), means, log_variances)
        return torch.logsumexp(each + weights.log(), dim=1)

    def divergence(self, z: Tensor, mean: Tensor, log_variance: Tensor, weights: Tensor) -> Tensor:
        """Return the divergence estimated from the one draw: (N,). A mixture has no closed form."""
        return log_normal(z, mean, log_variance) - self.log_density(z, weights)
