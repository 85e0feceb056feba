"""Where a sample lies among others, for a coreset: what an encoder that never learns makes of it."""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from learner.model import ModelConfig, build_model
from memory.admission import EMBEDDING_SIZE, LARGEST_EMBEDDING
from memory.samples import Sample
from stream.preprocessing import pad_to_multiple, prepare

_SIZE_MULTIPLE = 32
_SPREAD = 40.0
"""Standard deviation of an embedding's values, out of 127."""


class FrozenEmbedder:
    """Embeds with the encoder as it was before anything was learned.

    An encoder that learns would place the same sample elsewhere each day:
    distances to what was stored before would mean nothing, and a memory that
    is rebuilt from the labels would not be the one that there was. The
    features of the whole frame, and of its defects, are averaged, brought to
    length 1 each, and projected to few numbers, which keeps distances roughly
    (Johnson & Lindenstrauss 1984).

    Parameters
    ----------
    encoder : nn.Module
        Maps (1, 1, H, W) to feature maps, the last of which counts; nobody may train it.
    seed : int
        Of the projection.
    """

    def __init__(self, encoder: nn.Module, seed: int) -> None:
        self._encoder = encoder
        self._rng_seed = seed
        self._projection: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, config: ModelConfig, classes: int, seed: int) -> Self:
        """Build it with the weights that the learner's encoder begins with."""
        return cls(build_model(config, classes, seed).net.get_submodule("encoder"), seed)

    def __call__(self, sample: Sample) -> NDArray[np.float32]:
        """Return the embedding: (32,) float32, whole numbers from -127 to 127. Blocking."""
        image, _ = pad_to_multiple(prepare(sample.pixels)[None], _SIZE_MULTIPLE)
        mask, _ = pad_to_multiple((sample.mask > 0).astype(np.float32)[None], _SIZE_MULTIPLE)
        return self.place(torch.from_numpy(image), torch.from_numpy(mask)[0])

    @torch.no_grad()
    def place(self, image: Tensor, shown: Tensor) -> NDArray[np.float32]:
        """Return the embedding of a prepared image (1, H, W) whose defects are shown (H, W)."""
        features: Tensor = self._encoder(image[None])[-1][0]
        cover = adaptive_avg_pool2d(shown[None].float(), (features.shape[1], features.shape[2]))[0]
        whole = features.mean(dim=(1, 2))
        # Of a frame without a defect this half is 0: it lies apart from all that show one.
        defects = (features * cover).sum(dim=(1, 2)) / cover.sum().clamp(min=1e-6)
        parts = [(part / torch.linalg.vector_norm(part).clamp(min=1e-6)).numpy() for part in (whole, defects)]
        values = np.concatenate(parts) @ self._projected(2 * len(whole)) * _SPREAD
        embedding: NDArray[np.float32] = np.rint(np.clip(values, -LARGEST_EMBEDDING, LARGEST_EMBEDDING))
        return embedding.astype(np.float32)

    def _projected(self, size: int) -> NDArray[np.float32]:
        if self._projection is None:
            rng = np.random.default_rng(self._rng_seed)
            self._projection = rng.standard_normal((size, EMBEDDING_SIZE)).astype(np.float32)
        return self._projection
