"""Networks that can be split into a front that is frozen and a rest that learns."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from learner.model import CHANNELS, Segmenter
from learner.strategies.generative.autoencoder import Content


class Classified(NamedTuple):
    """What a network makes of features.

    Attributes
    ----------
    logits : Tensor
        (N, K) or (N, K, H, W).
    hidden : Tensor or None
        (N, U) or (N, U, h, w): the layer from which z can be read, where the
        network shows one.
    """

    logits: Tensor
    hidden: Tensor | None


@runtime_checkable
class Split(Protocol):
    """A network in two parts."""

    def features(self, images: Tensor) -> Content:
        """Return what the front makes of images: what is replayed internally."""
        ...

    def classify(self, features: Content) -> Classified:
        """Return what the rest makes of features."""
        ...

    def front(self) -> Iterable[nn.Parameter]:
        """Return the parameters of the front."""
        ...


class MlpClassifier(nn.Module):
    """Fully connected layers, after a front that may be pre-trained.

    Parameters
    ----------
    values : int
        Of a sample, or of what the front makes of it.
    classes : int
        Outputs, over all domains.
    hidden : sequence of int
        Units of the hidden layers.
    front : nn.Module or None
        Maps inputs to features; None passes them on.
    """

    def __init__(
        self, values: int, classes: int, hidden: Sequence[int] = (400, 400), front: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.first = front
        sizes = [values, *hidden]
        layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of inputs (N, ...)."""
        return self.classify(self.features(images)).logits

    def features(self, images: Tensor) -> Content:
        """Return what the front makes of inputs, (N, values) in a tuple of one."""
        return ((images if self.first is None else self.first(images)).flatten(1),)

    def classify(self, features: Content) -> Classified:
        """Return logits and the last hidden layer."""
        hidden = self.body(features[0])
        return Classified(self.head(hidden), hidden)

    def front(self) -> Iterable[nn.Parameter]:
        """Return the parameters of the front."""
        return () if self.first is None else self.first.parameters()


class SplitSegmenter:
    """A segmentation network, split after its encoder.

    The levels that the decoder reads are the features, the skips included;
    the image itself, which smp hands to its decoders as a level of its own,
    is none of them unless a decoder reads it.

    Parameters
    ----------
    model : Segmenter
        Over a network with ``encoder``, ``decoder`` and ``segmentation_head``.
    size : int
        Rows and columns of a blank image that is tried, to learn what is read.

    Raises
    ------
    ValueError
        If the decoder reads the image itself: it would have to be replayed.
    """

    def __init__(self, model: Segmenter, size: int = 64) -> None:
        self._net = model.net
        device = next(model.parameters()).device
        with torch.no_grad():
            blank = self._encoder(torch.zeros(1, CHANNELS, size, size, device=device))
        levels = [level.detach().requires_grad_() for level in blank]
        gradients = torch.autograd.grad(self._decode(levels).sum(), levels, allow_unused=True)
        self._read = [i for i, gradient in enumerate(gradients) if gradient is not None]
        if 0 in self._read:
            msg = "this decoder reads the image itself, which internal replay would have to keep; set internal to false"
            raise ValueError(msg)
        self._channels = [level.shape[1] for level in levels]
        self._strides = [size // level.shape[2] for level in levels]

    def features(self, images: Tensor) -> Content:
        """Return the levels that the decoder reads, (N, C, h, w) each."""
        levels = self._encoder(images)
        return tuple(levels[i] for i in self._read)

    def classify(self, features: Content) -> Classified:
        """Return logits, and the deepest level as what z is read from."""
        given = dict(zip(self._read, features, strict=True))
        count, finest = len(features[0]), self._read[0]
        rows, columns = (s * self._strides[finest] for s in features[0].shape[2:])
        levels = [
            # What is not read has its shape looked at, no more.
            given[i] if i in given else features[0].new_zeros((count, channels, rows // stride, columns // stride))
            for i, (channels, stride) in enumerate(zip(self._channels, self._strides, strict=True))
        ]
        return Classified(self._decode(levels), features[-1])

    def front(self) -> Iterable[nn.Parameter]:
        """Return the encoder's parameters."""
        return self._net.get_submodule("encoder").parameters()

    def _encoder(self, images: Tensor) -> Sequence[Tensor]:
        levels: Sequence[Tensor] = self._net.get_submodule("encoder")(images)
        return levels

    def _decode(self, levels: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self._net.get_submodule("segmentation_head")(self._net.get_submodule("decoder")(list(levels)))
        return logits


class Whole:
    """Any network, whose inputs are what is replayed: it has no front.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits.
    split : Split or None
        The same network, where it can show its hidden layer.
    """

    def __init__(self, model: nn.Module, split: Split | None) -> None:
        self._model = model
        self._split = split

    def features(self, images: Tensor) -> Content:
        """Return the images."""
        return (images,)

    def classify(self, features: Content) -> Classified:
        """Return logits, and the hidden layer if there is one to show."""
        if self._split is None:
            return Classified(self._model(features[0]), None)
        return self._split.classify(self._split.features(features[0]))

    def front(self) -> Iterable[nn.Parameter]:
        """Return nothing."""
        return ()


def split(model: nn.Module, *, internal: bool) -> Split:
    """Split a network where it can be.

    Parameters
    ----------
    model : nn.Module
        A network that is :class:`Split` itself, a :class:`Segmenter`, or any
        other where inputs are replayed.
    internal : bool
        Whether features are replayed, rather than inputs.

    Raises
    ------
    ValueError
        If features are to be replayed and the network cannot be split.
    """
    halves: Split | None = None
    if isinstance(model, Split):
        halves = model
    elif isinstance(model, Segmenter):
        halves = SplitSegmenter(model)
    if not internal:
        return Whole(model, halves)
    if halves is None:
        msg = f"{type(model).__name__} cannot be split into a front and a rest; set internal to false"
        raise ValueError(msg)
    return halves
