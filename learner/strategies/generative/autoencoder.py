"""A variational autoencoder of what is replayed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.strategies.generative.config import GeneratorConfig
from learner.strategies.generative.gates import Gates
from learner.strategies.generative.prior import MixturePrior, Prior, StandardPrior

Content: TypeAlias = tuple[Tensor, ...]
"""What is replayed: inputs or features, one tensor for each level, (N, ...) float32."""

Shapes: TypeAlias = tuple[tuple[int, ...], ...]
"""Shapes of one sample of a content's levels."""

_ROUNDING = 1e-6
_VECTORS = 2
"""Dimensions of a batch of vectors."""


class Codec(Protocol):
    """The layers between content and latent variables."""

    def encode(self, content: Content, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of z, (N, Z) each, from the network's hidden layer where it is given."""
        ...

    def decode(self, z: Tensor, contexts: Tensor) -> Content:
        """Return logits or standardised values of the content's levels."""
        ...

    def gates(self) -> Sequence[Gates]:
        """Return the gates of the decoder's layers; none without gating."""
        ...


@dataclass(frozen=True, slots=True)
class Elbo:
    """The two parts of the negative evidence lower bound, over the number of values: (N,) each."""

    reconstruction: Tensor
    latent: Tensor


class Autoencoder(nn.Module):
    """Learns to generate content by its context.

    Both losses are divided by the number of values of a sample, as in the
    paper, so that they do not drown the classification loss.

    Parameters
    ----------
    codec : nn.Module
        A :class:`Codec`.
    config : GeneratorConfig
        Latent size and kind of reconstruction.
    example : tuple of Tensor
        First content (N, ...): values are standardised by its mean and
        deviation, in each channel of maps.
    conditional : bool
        Whether the prior has modes.
    """

    def __init__(self, codec: nn.Module, config: GeneratorConfig, example: Content, *, conditional: bool) -> None:
        super().__init__()
        self.codec = codec
        self.prior = MixturePrior(config.latent) if conditional else StandardPrior(config.latent)
        self._bernoulli = config.reconstruction == "bce"
        self._values = sum(level[0].numel() for level in example)
        self._levels = len(example)
        if not self._bernoulli:
            for i, level in enumerate(example):
                # Of vectors all values share one mean: a mean for each value of a batch of one would be the sample.
                axes = [axis for axis in range(level.ndim) if axis != 1 or level.ndim == _VECTORS]
                self.register_buffer(f"mean_{i}", level.mean(dim=axes, keepdim=True))
                deviation = level.var(dim=axes, keepdim=True, correction=0).sqrt()
                # A unit that never varied in the first content is not blown up when it first does.
                floor = 0.1 * deviation.mean() + _ROUNDING
                self.register_buffer(f"deviation_{i}", torch.maximum(deviation, floor))

    def add_contexts(self, modes: int, contexts: int, rng: torch.Generator) -> list[nn.Parameter]:
        """Make room for further modes of the prior and contexts of the gates; return what is new to learn."""
        before = {id(p) for p in self.parameters()}
        if modes:
            self._prior.add_modes(modes, rng)
        if contexts:
            for gates in self._codec.gates():
                gates.add_contexts(contexts, rng)
        return [p for p in self.parameters() if id(p) not in before]

    def elbo(
        self, content: Content, hidden: Tensor | None, modes: Tensor, contexts: Tensor, rng: torch.Generator
    ) -> Elbo:
        """Return the losses of content.

        Parameters
        ----------
        content : tuple of Tensor
            (N, ...) each.
        hidden : Tensor or None
            The network's last hidden layer for the same samples, where it is
            the encoder.
        modes, contexts : Tensor
            (N, M) and (N, C) weights, each row summing to 1.
        rng : torch.Generator
            Of the draws of z, on the CPU.

        Raises
        ------
        ValueError
            If the values are to be probabilities and are not.
        """
        wanted = self._standardise(content)
        mean, log_variance = self._codec.encode(wanted, hidden)
        noise = torch.randn(mean.shape, generator=rng).to(mean)
        z = mean + noise * torch.exp(0.5 * log_variance)
        made = self._codec.decode(z, contexts)
        reconstruction = torch.stack(
            [self._distance(m, w).flatten(1).mean(dim=1) for m, w in zip(made, wanted, strict=True)]
        ).mean(dim=0)
        latent = self._prior.divergence(z, mean, log_variance, modes) / self._values
        return Elbo(reconstruction, latent)

    @torch.no_grad()
    def generate(self, modes: Tensor, contexts: Tensor, rng: torch.Generator) -> Content:
        """Generate content (N, ...) in contexts (N, C), from modes (N, M)."""
        made = self._codec.decode(self._prior.sample(modes, rng), contexts)
        if self._bernoulli:
            return tuple(level.sigmoid() for level in made)
        return tuple(level * self._deviation(i) + self._mean(i) for i, level in enumerate(made))

    def _distance(self, made: Tensor, wanted: Tensor) -> Tensor:
        if self._bernoulli:
            return functional.binary_cross_entropy_with_logits(made, wanted, reduction="none")
        return 0.5 * (made - wanted).square()

    def _standardise(self, content: Content) -> Content:
        if not self._bernoulli:
            return tuple((level - self._mean(i)) / self._deviation(i) for i, level in enumerate(content))
        for level in content:
            # Written so that NaN passes: a loss that is not finite is the step's to report.
            if bool((level < -_ROUNDING).any() | (level > 1 + _ROUNDING).any()):
                msg = "reconstruction 'bce' needs values in [0, 1]; use 'mse'"
                raise ValueError(msg)
        return content

    def _mean(self, level: int) -> Tensor:
        return self.get_buffer(f"mean_{level}")

    def _deviation(self, level: int) -> Tensor:
        return self.get_buffer(f"deviation_{level}")

    @property
    def _prior(self) -> Prior:
        return self.prior

    @property
    def _codec(self) -> Codec:
        codec: Codec = self.codec  # type: ignore[assignment]
        return codec
