"""Training samples cut from labelled frames: crops that show defects often enough."""

from collections.abc import Sequence
from typing import Annotated, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from learner.strategies.batch import Batch
from stream.preprocessing import Pixels, prepare


class Labelled(Protocol):
    """A frame with its mask, such as :class:`memory.samples.Sample`."""

    @property
    def domain(self) -> str:
        """The task descriptor."""
        ...

    @property
    def pixels(self) -> Pixels:
        """(H, W), as they arrived."""
        ...

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(H, W), 0 is background."""
        ...


class CropConfig(BaseModel):
    """How training samples are cut from frames.

    Attributes
    ----------
    size : int
        Rows and columns of a crop; smaller frames are padded with their edge.
    defect_share : float
        Share of the crops that show a defect pixel, of frames that have one.
    gain_jitter : float
        Standard deviation of a random gain, as a share of the amplitude.
    offset_jitter : float
        Standard deviation of a random offset, in standard deviations of the frame.
    flip : bool
        Mirror half of the crops along the scan axis (columns): a weld scanned
        from its other end. Rows are sound path and are never mirrored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    defect_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    gain_jitter: Annotated[float, Field(ge=0)] = 0.1
    offset_jitter: Annotated[float, Field(ge=0)] = 0.1
    flip: bool = True


class Cropper:
    """Cuts random crops.

    Parameters
    ----------
    config : CropConfig
        How.
    rng : numpy.random.Generator
        Decides where; its state is the caller's to keep.
    device : torch.device
        Where batches go.
    """

    def __init__(self, config: CropConfig, rng: np.random.Generator, device: torch.device) -> None:
        self._config = config
        self._rng = rng
        self._device = device

    def batch(self, samples: Sequence[Labelled]) -> Batch:
        """Cut one crop from each sample; frames are prepared as a whole, then cropped.

        Raises
        ------
        ValueError
            If there is no sample.
        """
        if not samples:
            msg = "a batch needs at least one sample"
            raise ValueError(msg)
        crops = [self._crop(prepare(sample.pixels), sample.mask) for sample in samples]
        images = torch.from_numpy(np.stack([image for image, _ in crops])[:, None])
        masks = torch.from_numpy(np.stack([mask for _, mask in crops]))
        return Batch(images.to(self._device), masks.to(self._device))

    def _crop(
        self, image: NDArray[np.float32], mask: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        config, rng = self._config, self._rng
        size = config.size
        missing = [(0, max(0, size - length)) for length in image.shape]
        if any(after for _, after in missing):
            # The mask is repeated as well: the pixels that a repeated edge shows are what the edge is.
            image, mask = np.pad(image, missing, mode="edge"), np.pad(mask, missing, mode="edge")
        row, column = (int(rng.integers(length - size + 1)) for length in image.shape)
        if rng.random() < config.defect_share:
            shown = np.flatnonzero(mask)
            if len(shown):
                at = divmod(int(shown[rng.integers(len(shown))]), mask.shape[1])
                # The defect lies anywhere in the crop: always centred, it would be learned by its place.
                row, column = (
                    int(rng.integers(max(0, x - size + 1), min(x, length - size) + 1))
                    for x, length in zip(at, image.shape, strict=True)
                )
        window = np.s_[row : row + size, column : column + size]
        flip = config.flip and rng.random() < 0.5  # noqa: PLR2004 - half of them
        step = np.s_[:, ::-1] if flip else np.s_[:, :]
        gain = 1.0 + config.gain_jitter * rng.standard_normal()
        offset = config.offset_jitter * rng.standard_normal()
        cut = image[window][step] * np.float32(gain) + np.float32(offset)
        return cut, mask[window][step].astype(np.int64)
