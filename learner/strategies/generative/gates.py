"""Gates by context: fixed random masks over hidden units."""

import torch
from torch import Tensor, nn


class Gates(nn.Module):
    """Masks one layer's units, a fixed random share of them in each context.

    A mask never changes once it is drawn, so it is part of the state like a
    weight is.

    Parameters
    ----------
    units : int
        Of the layer: its features, or the channels of its maps.
    share : float
        Share of the units that a context switches off.
    """

    masks: Tensor

    def __init__(self, units: int, share: float) -> None:
        super().__init__()
        self._share = share
        self.register_buffer("masks", torch.zeros(0, units))

    def add_contexts(self, count: int, rng: torch.Generator) -> None:
        """Draw the masks of further contexts: each switches off the same number of units."""
        units = self.masks.shape[1]
        off = round(self._share * units)
        drawn = torch.ones(count, units)
        for mask in drawn:
            mask[torch.randperm(units, generator=rng)[:off]] = 0.0
        self.masks = torch.cat([self.masks, drawn.to(self.masks)])

    def forward(self, hidden: Tensor, contexts: Tensor) -> Tensor:
        """Mask the units (N, U, ...) with the contexts' masks, weighted by (N, contexts)."""
        mask = contexts @ self.masks
        return hidden * mask.view(*mask.shape, *([1] * (hidden.ndim - 2)))
