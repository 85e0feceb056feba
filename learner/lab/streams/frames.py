"""From frames with masks to a stream: one size, prepared as the service does, split by groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from learner.lab.streams.base import Domain, Samples, Stream
from stream.preprocessing import Pixels, prepare

Share = Annotated[float, Field(ge=0, lt=1)]

SHOWN = 1 / 3
"""Share of a shrunk pixel that defects cover from which on it shows one."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image with its mask.

    Attributes
    ----------
    pixels : ndarray
        (H, W), uint8, uint16 or float32.
    mask : NDArray[np.uint8]
        (H, W), 0 is background.
    group : str
        What must not be split: the tile, the weld, the family of copies.
    """

    pixels: Pixels
    mask: NDArray[np.uint8]
    group: str


class FramesConfig(BaseModel):
    """What all streams of masks share.

    Attributes
    ----------
    size : int
        Rows and columns to which frames are brought.
    test_share, validation_share : float
        Shares of the groups, over all domains, that are never trained on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    validation_share: Share = 0.1

    def stream_of(
        self,
        name: str,
        domains: Mapping[str, Sequence[Frame]],
        classes: tuple[str, ...],
        seed: int,
        parts: Mapping[str, str] | None = None,
    ) -> Stream:
        """Return the stream of frames by domain, each domain's in their order.

        Parameters
        ----------
        name : str
            For people.
        domains : mapping of str to sequence of Frame
            In the order of learning.
        classes : tuple of str
            Names of the mask values.
        seed : int
            Of the split.
        parts : mapping of str to str or None
            Group to "train", "validation" or "test"; by default drawn.
        """
        frames = [frame for own in domains.values() for frame in own]
        images, masks = stack(frames, self.size)
        part = draw_parts([[f.group for f in own] for own in domains.values()], self, seed) if parts is None else parts
        result: list[Domain] = []
        start = 0
        for domain, own in domains.items():
            at: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
            for i, frame in enumerate(own, start):
                at[part[frame.group]].append(i)
            start += len(own)
            split = {key: Samples(images, masks, torch.tensor(where, dtype=torch.int64)) for key, where in at.items()}
            values = tuple(range(len(classes)))
            result.append(Domain(domain, split["train"], split["validation"], split["test"], values))
        return Stream(name, result, classes, "domain", masks=True)


Parts: TypeAlias = dict[str, str]


def draw_parts(domains: Sequence[Sequence[str]], config: FramesConfig, seed: int) -> Parts:
    """Assign each group to "train", "validation" or "test": all its frames, in whatever domain, go there.

    The shares hold among the groups of each domain that no domain before it had.
    """
    rng = np.random.default_rng(seed)
    parts: Parts = {}
    for groups in domains:
        names = sorted(set(groups) - parts.keys())
        test = round(config.test_share * len(names))
        validation = test + round(config.validation_share * len(names))
        for rank, i in enumerate(rng.permutation(len(names))):
            parts[names[i]] = "test" if rank < test else "validation" if rank < validation else "train"
    return parts


def stack(frames: Sequence[Frame], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prepared images (N, 1, size, size) float32 and masks (N, size, size) uint8."""
    images = np.empty((len(frames), 1, size, size), np.float32)
    masks = np.empty((len(frames), size, size), np.uint8)
    for i, frame in enumerate(frames):
        images[i, 0] = resized(prepare(frame.pixels), size)
        masks[i] = resized_mask(frame.mask, size)
    return torch.from_numpy(images), torch.from_numpy(masks)


def resized(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return a float32 image (H, W) at ``size`` x ``size``, smoothed before it shrinks."""
    if image.shape == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR), np.float32)


def resized_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a mask at another size: a pixel shows the defect that covers most of it, if defects cover a third.

    The nearest pixel would make thin cracks vanish.
    """
    if mask.shape == (size, size):
        return mask
    values = [int(value) for value in np.unique(mask) if value]
    if not values:
        return np.zeros((size, size), np.uint8)
    cover = np.stack([resized_box((mask == value).astype(np.float32), size) for value in values])
    shown = np.asarray(values, np.uint8)[cover.argmax(axis=0)]
    return np.where(cover.sum(axis=0) >= SHOWN, shown, 0).astype(np.uint8)


def resized_box(cover: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the mean over the area of each new pixel."""
    return np.asarray(Image.fromarray(cover).resize((size, size), Image.Resampling.BOX), np.float32)
