"""Codec of vectors: fully connected layers."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.strategies.generative.autoencoder import Content
from learner.strategies.generative.config import GeneratorConfig
from learner.strategies.generative.gates import Gates


class VectorCodec(nn.Module):
    """Decodes z through layers that contexts gate, and encodes through its own layers or the network's.

    Parameters
    ----------
    values : int
        Of a sample.
    hidden : int or None
        Units of the network's last hidden layer where that is the encoder;
        None makes an encoder.
    config : GeneratorConfig
        Units of the layers.
    gated_share : float or None
        Share of the units that a context switches off; None makes no gates.
    """

    def __init__(self, values: int, hidden: int | None, config: GeneratorConfig, gated_share: float | None) -> None:
        super().__init__()
        units = config.hidden
        self.encoder: nn.Module | None = None
        if hidden is None:
            sizes = [values, *reversed(units)]
            layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
            self.encoder = nn.Sequential(*layers)
            hidden = units[0]
        self.to_latent = nn.Linear(hidden, 2 * config.latent)
        sizes = [config.latent, *units]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.masks = nn.ModuleList(Gates(u, gated_share) for u in units) if gated_share is not None else None
        self.to_values = nn.Linear(units[-1], values)

    def encode(self, content: Content, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of z, (N, Z) each."""
        if self.encoder is not None:
            hidden = self.encoder(content[0])
        assert hidden is not None
        mean, log_variance = torch.chunk(self.to_latent(hidden), 2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor, contexts: Tensor) -> Content:
        """Return (N, values) in a tuple of one."""
        for i, layer in enumerate(self.layers):
            z = functional.relu(layer(z))
            if self.masks is not None:
                z = self.masks[i](z, contexts)
        return (self.to_values(z),)

    def gates(self) -> Sequence[Gates]:
        """Return the gates of the decoder's layers."""
        return [g for g in self.masks or () if isinstance(g, Gates)]
