"""Codec of images and of feature maps: the levels of a U-Net's encoder are generated together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.strategies.generative.autoencoder import Content, Shapes
from learner.strategies.generative.config import GeneratorConfig
from learner.strategies.generative.gates import Gates

_GRID = 4
"""Rows and columns to which maps are pooled before z is read from them."""

_COARSEST = 8
"""Most rows and columns of the map that z opens."""


class DenseCodec(nn.Module):
    """Decodes z into maps from coarse to fine; each level is emitted where the map has its size.

    The levels of a sample come from one z through one stack of maps, so that
    skips and deep features show the same scene.

    Parameters
    ----------
    shapes : tuple of tuple of int
        (C, H, W) of each level.
    hidden : int or None
        Channels of the network's deepest features where those are the
        encoder; None makes an encoder.
    config : GeneratorConfig
        Units and channels.
    gated_share : float or None
        Share of the units that a context switches off; None makes no gates.
    """

    def __init__(self, shapes: Shapes, hidden: int | None, config: GeneratorConfig, gated_share: float | None) -> None:
        super().__init__()
        units, channels = config.hidden[0], config.channels
        self._shapes = shapes
        self.encoder: nn.Module | None = None
        if hidden is None:
            deep = sum(shape[0] for shape in shapes)
            self.encoder = nn.Sequential(nn.Conv2d(deep, 2 * channels, 3, padding=1), nn.ReLU())
            hidden = 2 * channels
        self.to_hidden = nn.Sequential(nn.Linear(hidden * _GRID * _GRID, units), nn.ReLU())
        self.to_latent = nn.Linear(units, 2 * config.latent)
        self._sizes = _sizes(shapes)
        rows, columns = self._sizes[0]
        self.open = nn.Linear(config.latent, channels * rows * columns)
        self.blocks = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in self._sizes)
        self.emit = nn.ModuleList(nn.Conv2d(channels, shape[0], 3, padding=1) for shape in shapes)
        self.masks: nn.ModuleList | None = None
        if gated_share is not None:
            self.masks = nn.ModuleList(Gates(channels, gated_share) for _ in self._sizes)

    def encode(self, content: Content, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of z, (N, Z) each."""
        if self.encoder is not None:
            size = 4 * _GRID
            pooled = [functional.adaptive_avg_pool2d(level, size) for level in content]
            hidden = self.encoder(torch.cat(pooled, dim=1))
        assert hidden is not None
        read = self.to_hidden(functional.adaptive_avg_pool2d(hidden, _GRID).flatten(1))
        mean, log_variance = torch.chunk(self.to_latent(read), 2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor, contexts: Tensor) -> Content:
        """Return the levels, (N, C, H, W) each."""
        rows, columns = self._sizes[0]
        maps = functional.relu(self.open(z)).view(len(z), -1, rows, columns)
        levels: dict[int, Tensor] = {}
        for i, (size, block) in enumerate(zip(self._sizes, self.blocks, strict=True)):
            if maps.shape[2:] != size:
                maps = functional.interpolate(maps, size=size)
            maps = functional.relu(block(maps))
            if self.masks is not None:
                maps = self.masks[i](maps, contexts)
            levels |= {j: self.emit[j](maps) for j, shape in enumerate(self._shapes) if shape[1:] == size}
        return tuple(levels[j] for j in range(len(self._shapes)))

    def gates(self) -> Sequence[Gates]:
        """Return the gates of the decoder's maps."""
        return [g for g in self.masks or () if isinstance(g, Gates)]


def _sizes(shapes: Shapes) -> list[tuple[int, int]]:
    """Return the sizes of the decoder's maps, from the one that z opens to the finest level's."""
    sizes = sorted({(shape[1], shape[2]) for shape in shapes})
    rows, columns = sizes[0]
    while max(rows, columns) > _COARSEST:
        rows, columns = -(-rows // 2), -(-columns // 2)
        sizes.insert(0, (rows, columns))
    return sizes
