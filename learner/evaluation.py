"""Judges whole frames with a network, as inference will."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from learner.crops import Labelled
from stream.preprocessing import crop, pad_to_multiple, prepare
from stream.scoring import Confusion


def evaluate(
    model: nn.Module, samples: Iterable[Labelled], classes: int, size_multiple: int, batch_size: int = 8
) -> dict[str, Confusion]:
    """Count, for each domain, how a network's masks match the labels.

    Parameters
    ----------
    model : nn.Module
        Maps (N, 1, H, W) to logits; left in the mode it is in, judged in
        evaluation mode.
    samples : iterable of Labelled
        Frames with masks; their sizes may differ.
    classes : int
        Mask values, the background included.
    size_multiple : int
        What the network's input sizes are multiples of.
    batch_size : int
        Frames judged at once; only neighbours of one size share a batch.

    Returns
    -------
    dict of str to Confusion
        By domain, in order of appearance; every sample is counted once.
    """
    result: dict[str, Confusion] = {}
    was_training = model.training
    model.eval()
    try:
        for group in _neighbours(samples, batch_size):
            masks = predict(model, [sample.pixels for sample in group], size_multiple)
            for sample, mask in zip(group, masks, strict=True):
                before = result.get(sample.domain, Confusion.empty(classes))
                result[sample.domain] = before + Confusion.of(mask, sample.mask, classes)
    finally:
        model.train(was_training)
    return result


@torch.inference_mode()
def predict(model: nn.Module, frames: Sequence[NDArray[np.generic]], size_multiple: int) -> list[NDArray[np.uint8]]:
    """Judge frames of one size, (H, W) as they arrived; the model's mode is the caller's."""
    device = next(model.parameters()).device
    padded, size = pad_to_multiple(np.stack([prepare(frame) for frame in frames]), size_multiple)  # type: ignore[arg-type]
    images = torch.from_numpy(padded)[:, None].to(device, memory_format=torch.channels_last)
    masks = model(images).argmax(dim=1).to(torch.uint8).cpu().numpy()
    return [np.ascontiguousarray(mask) for mask in crop(masks, size)]


def _neighbours(samples: Iterable[Labelled], batch_size: int) -> Iterator[list[Labelled]]:
    group: list[Labelled] = []
    for sample in samples:
        if group and (len(group) == batch_size or group[0].pixels.shape != sample.pixels.shape):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group
