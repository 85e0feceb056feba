"""A network whose masks can be worked out by hand."""

import torch
from torch import Tensor, nn


class Threshold(nn.Module):
    """Calls class 1 what is brighter than a level, in deviations of the frame, and notes what it was asked."""

    def __init__(self, level: float = 1.5) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))
        self.asked: list[tuple[int, ...]] = []
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(tuple(images.shape))
        self.modes.append(self.training)
        return torch.cat([self.level.expand_as(images), images, torch.full_like(images, -99.0)], dim=1)

    @property
    def frames(self) -> int:
        """Frames judged so far."""
        return sum(shape[0] for shape in self.asked)
