from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from learner.export import ParityError, check_parity, export_graph, export_weights, open_session
from learner.model import ModelConfig, build_model
from schemas.errors import ModelLoadError

CONFIGS = [
    ModelConfig(),
    ModelConfig(options={"decoder_attention_type": "scse"}),
    ModelConfig(architecture="UnetPlusPlus"),
    ModelConfig(architecture="MAnet"),
    ModelConfig(architecture="Segformer", encoder_depth=5, decoder_channels=None),
]


def write(folder: Path, graph: bytes, weights: bytes) -> tuple[Path, Path]:
    (folder / "graph.onnx").write_bytes(graph)
    (folder / "weights.safetensors").write_bytes(weights)
    return folder / "graph.onnx", folder / "weights.safetensors"


def frames(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_every_architecture_exports_and_matches(config: ModelConfig, tmp_path: Path) -> None:
    model = build_model(config, 6)
    paths = write(tmp_path, export_graph(config, 6), export_weights(model))
    # Two sizes and numbers of frames, neither of which it was traced with.
    assert check_parity(model, *paths, [frames(1, 1, 64, 96), frames(3, 1, 96, 64)]) <= 1e-4
    logits, mask, confidence, entropy = open_session(*paths).run(None, {"images": frames(1, 1, 64, 96)})
    probabilities = torch.softmax(torch.from_numpy(logits), 1).numpy()
    assert mask.dtype == np.uint8
    assert (mask == logits.argmax(1)).all()
    assert np.allclose(confidence, probabilities.max(1), atol=1e-5)
    exact = -np.where(probabilities > 0, probabilities * np.log(np.maximum(probabilities, 1e-38)), 0).sum(1) / np.log(6)
    assert np.allclose(entropy, exact, atol=1e-4)


def test_the_graph_is_the_same_for_every_version() -> None:
    assert export_graph(ModelConfig(), 6) == export_graph(ModelConfig(pretrained=False), 6)


def test_the_graph_carries_no_weights_and_needs_them(tmp_path: Path) -> None:
    graph, weights = export_graph(ModelConfig(), 6), export_weights(build_model(ModelConfig(), 6))
    assert len(graph) < 0.1 * len(weights)
    tensors = load(weights)
    assert {name.split(".")[0] for name in tensors} == {"net"}
    paths = write(tmp_path, graph, export_weights(torch.nn.Conv2d(1, 1, 1)))
    with pytest.raises(ModelLoadError, match="do not make a model"):
        open_session(*paths)


def test_other_weights_fail_parity(tmp_path: Path) -> None:
    config = ModelConfig(pretrained=False)
    paths = write(tmp_path, export_graph(config, 6), export_weights(build_model(config, 6, seed=1)))
    with pytest.raises(ParityError, match="differ by"):
        check_parity(build_model(config, 6, seed=2), *paths, [frames(1, 1, 64, 64)])


def test_parity_without_a_frame_is_no_parity(tmp_path: Path) -> None:
    model = build_model(ModelConfig(), 6)
    paths = write(tmp_path, export_graph(ModelConfig(), 6), export_weights(model))
    with pytest.raises(ParityError):
        check_parity(model, *paths, [])
