from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from learner.scores import FrameScores
from learner.served import Served
from learner.settings import LearnerSettings
from memory.samples import Sample
from stream.preprocessing import prepare

SIDE = 32


def sample(number: int) -> Sample:
    pixels, mask = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    pixels[4:12, 4:12], mask[4:12, 4:12] = 200, 1
    return Sample(f"label-{number}", "one", f"weld-{number}", pixels, mask)


SAMPLES = [sample(number) for number in range(8)]
BRIGHT = float(prepare(SAMPLES[0].pixels).max())


class Threshold(nn.Module):
    """Calls all that is brighter than a share of what a defect is."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(share * BRIGHT))

    def forward(self, images: Tensor) -> Tensor:
        others = torch.full_like(images, -99.0)
        return torch.cat([self.at - images, images - self.at, *[others] * 4], dim=1)


def served(*, serving: float, fallbacks: tuple[float, ...]) -> Served:
    settings = LearnerSettings.model_validate({"release": {"fallbacks": fallbacks}})
    nothing: Any = None
    found = Served(settings, nothing, nothing)
    version: Any = None
    found.succeed(version, found.freeze(Threshold(serving)))
    return found


def at(scores: FrameScores) -> float:
    (parameter,) = scores.model.parameters()
    return float(parameter) / BRIGHT


@pytest.mark.parametrize(
    ("candidate", "fallbacks", "chosen", "passed"),
    [
        (0.9, (0.5, 0.25), 0.9, True),
        (1.3, (0.5, 0.25), 0.9, True),
        (1.9, (0.5, 0.25), 0.85, True),
        (1.3, (), 1.3, False),
        (9.0, (0.5, 0.25), 9.0, False),
    ],
    ids=["the whole", "half of it", "a quarter", "nothing else is tried", "nothing passes"],
)
def test_the_first_that_passes_is_chosen(
    candidate: float, fallbacks: tuple[float, ...], chosen: float, passed: bool
) -> None:
    serving = served(serving=0.5, fallbacks=fallbacks)
    found, verdict = serving.choose(serving.freeze(Threshold(candidate)), SAMPLES, [], [])
    assert verdict.passed is passed
    assert at(found) == pytest.approx(chosen, abs=1e-5)
    assert at(serving.scores) == pytest.approx(0.5)
