"""Model files that somebody made or changed to do harm."""

from pathlib import Path

import onnx
import pytest
from safetensors.numpy import save

from inference.session import SessionLoader
from memory.artifacts import ArtifactStore
from schemas.errors import DigestMismatchError, ModelLoadError
from tests.unit.inference.tiny import graph_bytes, make_version, tiny_weights, write_model

LOADER = SessionLoader(1, (48, 64))


def graph_that_reads(location: str) -> bytes:
    """The tiny network, with one of its constants in a file beside it, or elsewhere."""
    model = onnx.load_from_string(graph_bytes())
    (tensor,) = (t for t in model.graph.initializer if t.name == "tiny")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("location", ["../secret.bin", "{folder}/secret.bin", "link.bin", "a/../../secret.bin"])
def test_a_graph_reads_no_file_outside_its_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    version, graph, weights = write_model(folder)
    LOADER.load(version, graph, weights)  # as it was made, it loads
    graph.write_bytes(graph_that_reads(location.format(folder=tmp_path)))
    with pytest.raises(ModelLoadError, match="External data path"):
        LOADER.load(version, graph, weights)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "registry"), cache_dir=tmp_path / "cache")


def altered_graph() -> bytes:
    """A network that loads as well as the true one and calls nothing a defect."""
    model = onnx.load_from_string(graph_bytes())
    (node,) = (n for n in model.graph.node if n.op_type == "ArgMax")
    node.op_type = "ArgMin"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("part", ["graph", "weights"])
@pytest.mark.parametrize("place", ["registry", "cache"])
def test_a_file_that_was_exchanged_under_its_name_is_never_loaded(
    store: ArtifactStore, tmp_path: Path, part: str, place: str
) -> None:
    graph, weights = graph_bytes(), save(tiny_weights())
    for data in (graph, weights):
        store.put(data)
    version = make_version(1, graph, weights)
    artifact = version.graph if part == "graph" else version.weights
    fake = altered_graph() if part == "graph" else save(tiny_weights(threshold=300))
    assert fake not in {graph, weights}
    store.open_local(artifact)  # fetched once, so that there is a copy
    (path,) = (tmp_path / place).rglob(artifact.sha256)
    path.write_bytes(fake)
    if place == "cache":
        # The copy is not trusted for lying there: it is fetched anew.
        assert store.open_local(artifact).read_bytes() == (graph if part == "graph" else weights)
        return
    (copy,) = (tmp_path / "cache").rglob(artifact.sha256)
    copy.unlink()
    with pytest.raises(DigestMismatchError):
        store.open_local(artifact)


def test_the_altered_graph_would_load(tmp_path: Path) -> None:
    """Nothing but its digest tells it from the true one."""
    version, graph, weights = write_model(tmp_path)
    graph.write_bytes(altered_graph())
    assert LOADER.load(version, graph, weights).version == version
