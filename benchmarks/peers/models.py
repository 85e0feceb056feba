"""The same versions for all: published for weldstream, and as self-contained ONNX files for the others."""

from pathlib import Path

import onnx
from onnx import numpy_helper
from safetensors.numpy import load_file

from learner.export import EXTERNAL
from memory.artifacts import ArtifactStore
from schemas import ModelVersion


def write_self_contained(version: ModelVersion, artifacts: ArtifactStore, folder: Path) -> Path:
    """Write a version's graph with its weights in it and return the file.

    Raises
    ------
    ValueError
        If the graph still refers to weights that are not in it.
    """
    model = onnx.load(artifacts.open_local(version.graph), load_external_data=False)
    weights = load_file(artifacts.open_local(version.weights))
    for initializer in model.graph.initializer:
        if initializer.name in weights:
            initializer.CopyFrom(numpy_helper.from_array(weights[initializer.name], initializer.name))
    missing = [i.name for i in model.graph.initializer if i.data_location == onnx.TensorProto.EXTERNAL]
    if missing:
        raise ValueError(f"{EXTERNAL} lack {missing[0]}")
    path = folder / f"{version.model.version}.onnx"
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
