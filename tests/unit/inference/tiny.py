"""A network with the real one's interface, small enough to know its answer: bright pixels are defects."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from schemas.classes import ClassTable
from schemas.events import Artifact, ModelVersion
from schemas.frames import Frame, PixelSpacing, Probe, View
from schemas.judgements import ModelRef
from stream.preprocessing import VERSION

CLASSES = ClassTable()
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def external(name: str, array: NDArray[np.float32]) -> TensorProto:
    tensor = numpy_helper.from_array(array, name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(array.nbytes))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def tiny_weights(defect: int = 1, threshold: float = 3.0) -> dict[str, NDArray[np.float32]]:
    """Weights under which pixels brighter than ``threshold`` deviations are of class ``defect``."""
    weight = np.zeros((len(CLASSES), 1, 1, 1), np.float32)
    bias = np.full(len(CLASSES), -20, np.float32)
    weight[defect], bias[defect], bias[0] = 10, -10 * threshold, 0
    return {"net.weight": weight, "net.bias": bias}


def graph_bytes(batch: int | str = "n") -> bytes:
    classes = len(CLASSES)
    weights = tiny_weights()
    nodes = [
        helper.make_node("Conv", ["x", "net.weight", "net.bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"], axis=1),
        helper.make_node("ReduceMax", ["p"], ["confidence"], axes=[1], keepdims=0),
        helper.make_node("ArgMax", ["p"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["mask"], to=TensorProto.UINT8),
        helper.make_node("Max", ["p", "tiny"], ["positive"]),
        helper.make_node("Log", ["positive"], ["log"]),
        helper.make_node("Mul", ["p", "log"], ["product"]),
        helper.make_node("ReduceSum", ["product", "axis"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "scale"], ["entropy"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(1e-8), "tiny"),
        numpy_helper.from_array(np.array([1]), "axis"),
        numpy_helper.from_array(np.float32(-1 / np.log(classes)), "scale"),
    ]
    size = [batch, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, "h", "w"])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes, "h", "w"]),
            helper.make_tensor_value_info("mask", TensorProto.UINT8, size),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, size),
            helper.make_tensor_value_info("entropy", TensorProto.FLOAT, size),
        ],
        [*(external(name, array) for name, array in weights.items()), *constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def artifact(data: bytes) -> Artifact:
    return Artifact(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def make_version(number: int, graph: bytes, weights: bytes, **changes: object) -> ModelVersion:
    stored = artifact(weights)
    fields: dict[str, object] = {
        "model": ModelRef(name="weld", version=number, digest=stored.sha256),
        "parent": number - 1 or None,
        "graph": artifact(graph),
        "weights": stored,
        "architecture": "tiny",
        "classes": CLASSES,
        "preprocessing": VERSION,
        "size_multiple": 16,
        "labels_learned": 0,
        "metrics": {},
        "gate": None,
        "created_at": NOW,
    }
    return ModelVersion.model_validate(fields | changes)


def write_model(
    folder: Path, number: int = 1, weights: dict[str, NDArray[np.float32]] | None = None, **changes: object
) -> tuple[ModelVersion, Path, Path]:
    """Write a version's files and return it with their paths."""
    graph, blob = graph_bytes(), save(tiny_weights() if weights is None else weights)
    graph_path, weights_path = folder / f"{number}.onnx", folder / f"{number}.safetensors"
    graph_path.write_bytes(graph)
    weights_path.write_bytes(blob)
    return make_version(number, graph, blob, **changes), graph_path, weights_path


def make_frame(number: int = 0, weld: str = "weld-1", **changes: object) -> Frame:
    fields: dict[str, object] = {
        "frame_id": f"{weld}-{number}",
        "weld_id": weld,
        "position_mm": float(number),
        "time": NOW,
        "spacing": PixelSpacing(row_mm=0.5, column_mm=0.25),
        "view": View.S_SCAN,
        "probe": Probe(model="5L64", frequency_mhz=5, elements=64),
        "procedure": "PA-1",
        "material": "steel",
        "gain_db": 40.0,
    }
    return Frame.model_validate(fields | changes)


def scan(number: int = 0, shape: tuple[int, int] = (48, 64), defect: bool = True) -> NDArray[np.uint8]:
    """Noise, with a bright 6 x 8 block at row 10, column 20 if there is a defect."""
    pixels = np.random.default_rng(number).integers(80, 120, shape).astype(np.uint8)
    if defect:
        pixels[10:16, 20:28] = 255
    return pixels
