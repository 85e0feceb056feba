"""Mutated graphs and weights, loaded by onnxruntime in a process of its own."""

import json
from collections.abc import Iterator

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from tests.fuzz.models import ModelProcess
from tests.fuzz.mutations import mutated
from tests.fuzz.tally import Tally, examples
from tests.unit.inference.tiny import graph_bytes, tiny_weights

pytestmark = pytest.mark.timeout(0)
GRAPH, WEIGHTS = graph_bytes(), save(tiny_weights())
SHARE = 0.5, 3.0  # a model takes longer than an image in make test, and no longer than all else in make fuzz
OPERATORS = [node.op_type for node in onnx.load_from_string(GRAPH).graph.node] + [
    "Identity",
    "Loop",
    "Reshape",
    "Resize",
]
WHOLE = st.sampled_from([-(2**63), -1, 0, 1, 2, 3, 2**31, 2**40, 2**62])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelProcess]:
    with ModelProcess(tmp_path_factory.mktemp("models")) as process:
        yield process


def loads(models: ModelProcess, graph: bytes, weights: bytes) -> bool:
    outcome = models.load(graph, weights)
    assert outcome in {"valid", "refused"}, outcome
    return outcome == "valid"


def test_the_model_itself_is_loaded(models: ModelProcess) -> None:
    assert models.load(GRAPH, WEIGHTS) == "valid"


def test_a_crash_is_seen_and_survived(models: ModelProcess) -> None:
    assert models.load(GRAPH, WEIGHTS) == "valid"
    assert models._child is not None
    models._child.kill()
    assert models.load(GRAPH, WEIGHTS).startswith("died with -9")
    assert models.load(GRAPH, WEIGHTS) == "valid"


@examples(*SHARE)
@given(graph=mutated([GRAPH]))
def test_bytes_of_graphs(graph: bytes, models: ModelProcess, tally: Tally) -> None:
    tally.check("model graph", lambda changed: loads(models, changed, WEIGHTS), graph)


@examples(*SHARE)
@given(weights=mutated([WEIGHTS]))
def test_bytes_of_weights(weights: bytes, models: ModelProcess, tally: Tally) -> None:
    tally.check("model weights", lambda changed: loads(models, GRAPH, changed), weights)


@examples(*SHARE)
@given(data=st.data())
def test_parts_of_graphs(data: st.DataObject, models: ModelProcess, tally: Tally) -> None:
    model = onnx.load_from_string(GRAPH)
    for _ in range(data.draw(st.integers(1, 3))):
        change(data, model.graph)
    tally.check("model graph", lambda changed: loads(models, changed, WEIGHTS), model.SerializeToString())


def change(data: st.DataObject, graph: onnx.GraphProto) -> None:
    data.draw(st.sampled_from([change_node, change_attribute, change_shape, change_constant, change_external]))(
        data, graph
    )


def change_node(data: st.DataObject, graph: onnx.GraphProto) -> None:
    node = data.draw(st.sampled_from(list(graph.node)))
    names = [name for each in graph.node for name in (*each.input, *each.output)] + ["", "nowhere"]
    kind = data.draw(st.sampled_from(["operator", "input", "output", "drop"]))
    if kind == "operator":
        node.op_type = data.draw(st.sampled_from(OPERATORS))
    elif kind == "input" and node.input:
        node.input[data.draw(st.integers(0, len(node.input) - 1))] = data.draw(st.sampled_from(names))
    elif kind == "output":
        node.output[0] = data.draw(st.sampled_from(names))
    elif len(graph.node) > 1:
        graph.node.remove(node)


def change_attribute(data: st.DataObject, graph: onnx.GraphProto) -> None:
    node = data.draw(st.sampled_from(list(graph.node)))
    del node.attribute[:]
    name = data.draw(st.sampled_from(["axis", "axes", "keepdims", "to", "kernel_shape", "pads", "strides", "group"]))
    value = data.draw(WHOLE | st.lists(WHOLE, min_size=1, max_size=4))
    node.attribute.append(onnx.helper.make_attribute(name, value))


def change_shape(data: st.DataObject, graph: onnx.GraphProto) -> None:
    info = data.draw(st.sampled_from([*graph.input, *graph.output]))
    for axis in info.type.tensor_type.shape.dim:
        if data.draw(st.booleans()):
            axis.dim_value = data.draw(WHOLE)


def change_constant(data: st.DataObject, graph: onnx.GraphProto) -> None:
    tensor = data.draw(st.sampled_from(list(graph.initializer)))
    del tensor.dims[:]
    tensor.dims.extend(data.draw(st.lists(WHOLE, max_size=4)))
    tensor.data_type = data.draw(st.integers(0, 25))


def change_external(data: st.DataObject, graph: onnx.GraphProto) -> None:
    tensor = data.draw(st.sampled_from(list(graph.initializer)))
    tensor.name = data.draw(st.sampled_from([tensor.name, "nowhere", ""]))
    for entry in tensor.external_data:
        entry.value = data.draw(st.sampled_from(["", "../x", "/etc/hostname", "-1", "0", "99999999999", "weights.bin"]))


HEADERS = st.sampled_from(
    [
        "null",
        "[]",
        "{}",
        "-1",
        '"F64"',
        '"BF16"',
        "[0]",
        "[6]",
        "[4,1,1,1]",
        "[18446744073709551615]",
        "[0,24]",
        "[24,0]",
    ]
) | st.lists(WHOLE, max_size=4).map(json.dumps)


@examples(*SHARE)
@given(data=st.data())
def test_headers_of_weights(data: st.DataObject, models: ModelProcess, tally: Tally) -> None:
    length = int.from_bytes(WEIGHTS[:8], "little")
    header, body = json.loads(WEIGHTS[8 : 8 + length]), WEIGHTS[8 + length :]
    name = data.draw(st.sampled_from(sorted(header)))
    field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))
    header[name][field] = json.loads(data.draw(HEADERS))
    packed = json.dumps(header).encode()
    size = data.draw(st.just(len(packed)) | WHOLE.map(lambda value: value % 2**64))
    weights = size.to_bytes(8, "little") + packed + body
    tally.check("model weights", lambda changed: loads(models, GRAPH, changed), weights)
