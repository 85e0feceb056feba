"""Training samples cut from labelled frames: crops that show defects often enough."""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from learner.strategies.batch import Batch
from memory.samples import LOGITS
from stream.preprocessing import Pixels, prepare

T = TypeVar("T", bound=np.generic)


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


L = TypeVar("L", bound=Labelled)


def by_domain(samples: Sequence[L]) -> dict[str, list[L]]:
    """Group samples by their domains, in the order in which those come first."""
    result: dict[str, list[L]] = {}
    for sample in samples:
        result.setdefault(sample.domain, []).append(sample)
    return result


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
    logits_stride : int
        Rows and columns of a frame that one stored logit stands for. Where
        logits are stored with a sample, crops begin at multiples of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    defect_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    gain_jitter: Annotated[float, Field(ge=0)] = 0.1
    offset_jitter: Annotated[float, Field(ge=0)] = 0.1
    flip: bool = True
    logits_stride: Literal[1, 2, 4, 8, 16] = 8


def stored_logits(sample: Labelled, stride: int) -> NDArray[np.float32] | None:
    """Return the logits (K, ceil(H / stride), ceil(W / stride)) that lie with a sample.

    None where there are none, where they are of another stride, or where
    their place was only reserved (not a number).
    """
    # Only what comes from the memory has extras; frames of a source have none.
    logits: NDArray[np.float32] | None = getattr(sample, "extras", {}).get(LOGITS)
    if logits is None or logits.ndim != 3:  # noqa: PLR2004 - classes, rows, columns
        return None
    fits = logits.shape[1:] == tuple(-(-length // stride) for length in sample.mask.shape)
    return logits if fits and bool(np.isfinite(logits).all()) else None


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
        crops = [self._crop(prepare(s.pixels), s.mask, stored_logits(s, self._config.logits_stride)) for s in samples]
        images = torch.from_numpy(np.stack([image for image, _, _ in crops])[:, None])
        masks = torch.from_numpy(np.stack([mask for _, mask, _ in crops]))
        logits = [cut for _, _, cut in crops if cut is not None]
        return Batch(
            images.to(self._device),
            masks.to(self._device),
            torch.from_numpy(np.stack(logits)).to(self._device) if len(logits) == len(crops) else None,
        )

    def _crop(
        self, image: NDArray[np.float32], mask: NDArray[np.uint8], logits: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None]:
        config, rng = self._config, self._rng
        # A crop with logits begins at a multiple of their stride: sides that are multiples let it reach the end.
        size, stride = config.size, 1 if logits is None else config.logits_stride
        image, mask = _pad(image, size, stride), _pad(mask, size, stride)
        row, column = (int(rng.integers(length - size + 1)) // stride * stride for length in image.shape)
        if rng.random() < config.defect_share:
            shown = np.flatnonzero(mask)
            if len(shown):
                at = divmod(int(shown[rng.integers(len(shown))]), mask.shape[1])
                # The defect lies anywhere in the crop: always centred, it would be learned by its place.
                row, column = (
                    _aligned(int(rng.integers(max(0, x - size + 1), min(x, length - size) + 1)), x, size, stride)
                    for x, length in zip(at, image.shape, strict=True)
                )
        window = np.s_[row : row + size, column : column + size]
        flip = config.flip and rng.random() < 0.5  # noqa: PLR2004 - half of them
        step = np.s_[..., ::-1] if flip else np.s_[...]
        gain = 1.0 + config.gain_jitter * rng.standard_normal()
        offset = config.offset_jitter * rng.standard_normal()
        cut = image[window][step] * np.float32(gain) + np.float32(offset)
        kept = None
        if logits is not None:
            rows, columns = (slice(start // stride, (start + size) // stride) for start in (row, column))
            kept = np.ascontiguousarray(_pad(logits, size // stride, 1)[:, rows, columns][step])
        return cut, mask[window][step].astype(np.int64), kept


def _aligned(start: int, shown: int, size: int, stride: int) -> int:
    """Move the start of a crop to a multiple of the stride such that a pixel is still shown."""
    below = start // stride * stride
    return below if shown < below + size else below + stride


def _pad(array: NDArray[T], size: int, multiple: int) -> NDArray[T]:
    """Repeat the edge until rows and columns are at least a size, and multiples of a number.

    The mask is repeated as well: the pixels that a repeated edge shows are what the edge is.
    """
    missing = [(0, max(size - length, -length % multiple)) for length in array.shape[-2:]]
    if not any(after > 0 for _, after in missing):
        return array
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + missing, mode="edge")
