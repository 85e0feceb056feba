"""The networks that the laboratory trains: a plain one for classes, the product's for masks."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from learner.lab.streams import Stream
from learner.model import ModelConfig, build_model, used_parameters
from learner.strategies.generative import MlpClassifier


class MlpConfig(BaseModel):
    """Fully connected layers with ReLU; weights Xavier-uniform, biases zero, one output for each class of the stream.

    Attributes
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (100, 100)

    @property
    def name(self) -> str:
        """Name for people."""
        return f"fully connected, {' - '.join(map(str, self.hidden))}"


class SegmenterConfig(BaseModel):
    """The product's network.

    Attributes
    ----------
    model : ModelConfig
        Which one.
    statistics : {"encoder", "first_domain"}
        Batch statistics, which no step changes: as they come with the
        encoder, or estimated on the first domain before anything is learned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["segmenter"] = "segmenter"
    model: ModelConfig = ModelConfig()
    statistics: Literal["encoder", "first_domain"] = "encoder"

    @property
    def name(self) -> str:
        """Name for people."""
        return self.model.name


NetworkConfig: TypeAlias = Annotated[MlpConfig | SegmenterConfig, Field(discriminator="kind")]


def build_network(config: MlpConfig | SegmenterConfig, stream: Stream, seed: int) -> nn.Module:
    """Return the network for a stream, in evaluation mode.

    Raises
    ------
    ValueError
        If the network has no outputs of the stream's kind.
    """
    if stream.masks != isinstance(config, SegmenterConfig):
        msg = f"stream {stream.name!r} has {'masks' if stream.masks else 'classes'}; {config.name!r} does not give them"
        raise ValueError(msg)
    if isinstance(config, MlpConfig):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Mlp(math.prod(stream.shape), len(stream.classes), config.hidden).eval()
    model = build_model(config.model, len(stream.classes), seed)
    if config.statistics == "first_domain":
        images = stream.domains[0].train.first(_STATISTICS_SAMPLES).take().images
        estimate_statistics(model, images)
    return model


_STATISTICS_SAMPLES = 64
_STATISTICS_BATCH = 16


@torch.no_grad()
def estimate_statistics(model: nn.Module, images: Tensor) -> None:
    """Set the statistics of batch normalisation to those of images (N, 1, H, W), in place; the mode is left as it was.

    Averaged over batches of equal weight.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    for batch in torch.split(images, _STATISTICS_BATCH):
        model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


def learned_parameters(model: nn.Module, stream: Stream) -> tuple[nn.Parameter, ...]:
    """Return the parameters that the outputs depend on."""
    if not stream.masks:
        return tuple(model.parameters())
    return tuple(used_parameters(model, stream.shape[-1]).values())


class Mlp(MlpClassifier):
    """A plain classifier, initialised as Mammoth's, that says under Avalanche's name what its last layer is given.

    Parameters
    ----------
    values, classes : int
        Of an image, and of the stream.
    hidden : sequence of int
        Units of each hidden layer.
    """

    def __init__(self, values: int, classes: int, hidden: Sequence[int]) -> None:
        super().__init__(values, classes, hidden)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def get_features(self, images: Tensor) -> Tensor:
        """Return what the last layer is given, (N, U)."""
        hidden: Tensor = self.body(self.features(images)[0])
        return hidden
