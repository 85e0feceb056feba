"""What a strategy is given, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with their targets, on the device of the model.

    Attributes
    ----------
    images : Tensor
        (N, ...) float32, prepared: (N, 1, H, W) scans, or whatever the model maps.
    targets : Tensor
        (N, H, W) int64 masks, or (N,) int64 classes.
    logits : Tensor or None
        What the network answered when the samples were stored, float32:
        (N, K, h, w) for masks, where H and W are the same whole multiple of
        h and w, or (N, K) for classes. A row of NaN stands for a sample that
        was stored without them.
    """

    images: Tensor
    targets: Tensor
    logits: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @classmethod
    def join(cls, batches: Sequence["Batch"]) -> "Batch":
        """Concatenate batches of one image size; the logits are kept if all have them."""
        if len(batches) == 1:
            return batches[0]
        logits = [b.logits for b in batches if b.logits is not None]
        return cls(
            torch.cat([b.images for b in batches]),
            torch.cat([b.targets for b in batches]),
            torch.cat(logits) if len(logits) == len(batches) else None,
        )


class LossFunction(Protocol):
    """A loss that adds up over samples, so that gradients of groups of samples do too."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return one loss for each sample: (N, K, ...) and (N, ...) to (N,)."""
        ...


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did.

    Attributes
    ----------
    loss : float
        Mean loss of the new samples, before the step, without penalties.
    memory_losses : mapping of str to float
        Mean loss of the samples of each past domain that took part.
    violated : tuple of str
        Past domains whose loss the unprojected step would have raised.
    gradient_norm : float
        Euclidean norm of the gradient that was descended.
    penalty : float
        Sum of the penalties' losses.
    samples : int
        Samples passed through the network.
    """

    loss: float
    memory_losses: Mapping[str, float] = field(default_factory=dict)
    violated: tuple[str, ...] = ()
    gradient_norm: float = 0.0
    penalty: float = 0.0
    samples: int = 0
