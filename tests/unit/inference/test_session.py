from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest

from inference.session import SessionLoader
from schemas.errors import ModelLoadError
from tests.unit.inference.tiny import graph_bytes, scan, tiny_weights, write_model

LOADER = SessionLoader(1, (48, 64))


def test_joins_graph_and_weights(tmp_path: Path) -> None:
    session = LOADER.load(*write_model(tmp_path, weights=tiny_weights(defect=2, threshold=200)))
    images = np.stack([scan(0), scan(1, defect=False)]).astype(np.float32)
    found = session.run(images)
    assert (found.mask == np.where(images > 200, 2, 0)).all()
    assert found.mask.dtype == np.uint8
    assert found.confidence.min() > 0.99
    assert found.entropy.max() < 0.01


def test_two_versions_share_a_graph_and_keep_their_own_weights(tmp_path: Path) -> None:
    first = LOADER.load(*write_model(tmp_path, 1, tiny_weights(defect=1, threshold=200)))
    second = LOADER.load(*write_model(tmp_path, 2, tiny_weights(defect=5, threshold=200)))
    image = scan(0).astype(np.float32)[None]
    assert first.run(image).mask.max() == 1
    assert second.run(image).mask.max() == 5


@pytest.mark.parametrize(
    "weights",
    [
        {"net.weight": tiny_weights()["net.weight"]},
        tiny_weights() | {"unknown": np.zeros(3, np.float32)},
        tiny_weights() | {"net.bias": np.zeros(3, np.float32)},
        tiny_weights() | {"net.bias": np.full(6, np.nan, np.float32)},
        {},
    ],
    ids=["missing", "unknown name", "other shape", "not finite", "empty"],
)
def test_refuses_weights_that_do_not_fit(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    with pytest.raises(ModelLoadError, match="weld v1 cannot be loaded"):
        LOADER.load(*write_model(tmp_path, weights=weights))


@pytest.mark.parametrize("broken", ["graph", "weights"])
@pytest.mark.parametrize("data", [b"", b"no model at all", None])
def test_refuses_files_that_cannot_be_read(tmp_path: Path, broken: str, data: bytes | None) -> None:
    version, graph, weights = write_model(tmp_path)
    path = graph if broken == "graph" else weights
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(ModelLoadError):
        LOADER.load(version, graph, weights)


def test_refuses_a_model_with_fewer_classes_than_its_mask_shows(tmp_path: Path) -> None:
    # Zeros are class 5 under this threshold, and the version says that it knows one class.
    weights = tiny_weights(defect=5, threshold=-1)
    classes = {"classes": [{"code": 100, "name": "crack"}]}
    with pytest.raises(ModelLoadError, match="no class"):
        LOADER.load(*write_model(tmp_path, weights=weights, classes=classes))


def test_refuses_a_graph_of_a_fixed_batch(tmp_path: Path) -> None:
    version, graph, weights = write_model(tmp_path)
    graph.write_bytes(graph_bytes(batch=2))
    with pytest.raises(ModelLoadError, match="must be free"):
        LOADER.load(version, graph, weights)


def endless(graph: bytes) -> bytes:
    """The same graph, its entropy computed in a loop that would take a thousand years."""
    model = onnx.load_from_string(graph)
    body = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Identity", ["more"], ["more_out"]),
            onnx.helper.make_node("Neg", ["value"], ["value_out"]),
        ],
        "body",
        [
            onnx.helper.make_tensor_value_info("step", onnx.TensorProto.INT64, []),
            onnx.helper.make_tensor_value_info("more", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("value", onnx.TensorProto.FLOAT, None),
        ],
        [
            onnx.helper.make_tensor_value_info("more_out", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("value_out", onnx.TensorProto.FLOAT, None),
        ],
    )
    last = model.graph.node[-1]
    last.output[0] = "before"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(2**62), "steps"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((), bool), "true"))
    model.graph.node.append(onnx.helper.make_node("Loop", ["steps", "true", "before"], ["entropy"], body=body))
    return model.SerializeToString()


def test_refuses_a_graph_that_does_not_end(tmp_path: Path) -> None:
    version, graph, weights = write_model(tmp_path)
    graph.write_bytes(endless(graph_bytes()))
    with pytest.raises(ModelLoadError, match="terminate"):
        SessionLoader(1, (16, 32), patience_seconds=0.3).load(version, graph, weights)


def test_memory_that_runs_took_goes_back_before_the_session_does(tmp_path: Path) -> None:
    session = LOADER.load(*write_model(tmp_path))
    images = np.zeros((1, 4096, 4096), np.float32)
    before = session.run(images[:, :48, :64])
    session.run(images)
    taken = resident_bytes()
    session.give_back()
    assert taken - resident_bytes() > images.nbytes / 2
    after = session.run(images[:, :48, :64])
    assert (after.mask == before.mask).all()
    assert (after.confidence == before.confidence).all()


def resident_bytes() -> int:
    return psutil.Process().memory_info().rss
