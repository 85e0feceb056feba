"""Frames with a bright defect, learned in a few steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labelled:
    domain: str
    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def make_samples(n: int, domain: str = "a", size: int = 96, seed: int = 0, value: int = 1) -> list[Labelled]:
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(n):
        pixels = rng.integers(0, 60, (size, size)).astype(np.uint8)
        mask = np.zeros((size, size), np.uint8)
        row, column = rng.integers(0, size - 24, 2)
        mask[row : row + 20, column : column + 24] = value
        pixels[mask > 0] += 150
        samples.append(Labelled(domain, pixels, mask))
    return samples
