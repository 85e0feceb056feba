"""The network as ONNX: one graph per architecture without weights, and the weights of each version."""

import copy
import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.torch import save
from torch import Tensor, nn

from learner.model import CHANNELS, ModelConfig, Segmenter, build_model, judge
from schemas.errors import ModelLoadError

_ORT: Any = onnxruntime
"""Published without type hints."""

OPSET = 17
INPUT = "images"
OUTPUTS = ("logits", "mask", "confidence", "entropy")
TOLERANCE = 1e-4
"""Largest accepted difference of a logit between torch and onnxruntime, as a share of the largest logit or of 1.

Both sum float32 in different orders, which costs digits, not absolute size.
"""

EXTERNAL = "weights"
"""Location that the graph's initializers name; never read, every loader passes them in memory."""


class ParityError(ModelLoadError):
    """The exported network does not compute what the trained one does."""

    reason = "parity_failed"


class _Outputs(nn.Module):
    """A segmenter with all four outputs, under the parameter names of the segmenter."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.net = segmenter.net

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        logits = self.net(images)
        return logits, *judge(logits)


def export_graph(config: ModelConfig, classes: int) -> bytes:
    """Export an architecture without its weights.

    Input ``images`` (N, 1, H, W) float32, H and W multiples of
    ``config.size_multiple``; outputs ``logits`` (N, K, H, W) float32,
    ``mask`` (N, H, W) uint8, ``confidence`` and ``entropy`` (N, H, W) float32.
    The same config and library versions give the same bytes.

    Parameters
    ----------
    config : ModelConfig
        The architecture.
    classes : int
        Mask values, the background included.

    Returns
    -------
    bytes
        ONNX model whose initializers are external data, to be passed by name.

    Raises
    ------
    ModelLoadError
        If the graph's initializers are not exactly the network's tensors.
    """
    segmenter = build_model(config.model_copy(update={"pretrained": False}), classes)
    network = _Outputs(_distinct(segmenter)).eval()
    size = 4 * config.size_multiple
    buffer: Any = BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter keeps BatchNormalization and the tensors' names, and is a hundred times quicker
        # than its successor; it says that it is deprecated, and that sizes seen while tracing are constants.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, CHANNELS, size, size + 2 * config.size_multiple),),
            buffer,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={
                INPUT: {0: "n", 2: "h", 3: "w"},
                "logits": {0: "n", 2: "h", 3: "w"},
                **{name: {0: "n", 1: "h", 2: "w"} for name in OUTPUTS[1:]},
            },
        )
    model = onnx.load_from_string(buffer.getvalue())
    _strip(model, set(exported_tensors(segmenter)))
    return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def exported_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a version's weights consist of, by initializer name."""
    return {
        name: tensor.detach() for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")
    }


def export_weights(model: nn.Module) -> bytes:
    """Return a version's weights as safetensors, keyed by initializer name."""
    return save({name: t.cpu().contiguous() for name, t in exported_tensors(model).items()})


def open_session(graph: Path, weights: Path, threads: int = 1) -> Any:
    """Join graph and weights, as the inference service does.

    Raises
    ------
    ModelLoadError
        If they do not fit together.
    """
    options = _ORT.SessionOptions()
    options.intra_op_num_threads = threads
    tensors: dict[str, NDArray[np.generic]] = load_file(weights)
    values = [_ORT.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    options.add_external_initializers(list(tensors), values)
    try:
        return _ORT.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each cause, without a common root
        msg = f"graph and weights do not make a model: {error}"
        raise ModelLoadError(msg) from error


def check_parity(
    model: nn.Module,
    graph: Path,
    weights: Path,
    images: Iterable[NDArray[np.float32]],
    tolerance: float = TOLERANCE,
) -> float:
    """Compare torch with onnxruntime on real input.

    Parameters
    ----------
    model : nn.Module
        What was exported; it is judged in evaluation mode and left as it was.
    graph, weights : Path
        What will be served.
    images : iterable of ndarray
        Prepared frames (N, 1, H, W) float32, at least one batch.
    tolerance : float
        Largest accepted value of what is returned.

    Returns
    -------
    float
        The largest absolute difference of a logit, divided by the largest
        absolute logit of its batch where that is above 1.

    Raises
    ------
    ParityError
        If it is above the tolerance, not a number, or there was no image.
    """
    session = open_session(graph, weights)
    network = copy.deepcopy(model).cpu().eval()
    differences: list[float] = []
    for batch in images:
        with torch.inference_mode():
            ours = network(torch.from_numpy(batch)).numpy()
        theirs = session.run(["logits"], {INPUT: batch})[0]
        differences.append(float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(ours).max()))))
    worst = float(np.max(differences)) if differences else float("nan")
    if not worst <= tolerance:
        msg = f"logits of torch and onnxruntime differ by {worst:.3g}, more than {tolerance:.3g}"
        raise ParityError(msg)
    return worst


def _distinct(model: Segmenter) -> Segmenter:
    """Return a copy in which no two tensors are equal, since the exporter merges those that are."""
    generator = torch.Generator().manual_seed(0)
    clone = copy.deepcopy(model)
    for tensor in clone.state_dict().values():
        if tensor.is_floating_point():
            # In place; above 0, so that variances are valid.
            tensor.uniform_(0.1, 1.0, generator=generator)
    return clone


def _strip(model: onnx.ModelProto, wanted: set[str]) -> None:
    """Replace the values of the network's tensors by references to external data, in place."""
    found = {initializer.name for initializer in model.graph.initializer}
    missing = sorted(wanted - found)
    if missing:
        msg = f"the exported graph lacks {len(missing)} tensors of the network, such as {missing[0]}"
        raise ModelLoadError(msg)
    offset = 0
    for initializer in model.graph.initializer:
        if initializer.name not in wanted:
            continue  # a small constant of the graph itself, the same in every version
        size = len(initializer.raw_data)
        initializer.ClearField("raw_data")
        initializer.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", EXTERNAL), ("offset", str(offset)), ("length", str(size))):
            initializer.external_data.add(key=key, value=value)
        offset += size
