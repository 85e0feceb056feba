"""What the peers get is what we serve."""

import base64
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from benchmarks.peers.models import write_self_contained
from benchmarks.peers.served.segmenter import Segmenter
from inference.session import SessionLoader
from memory.artifacts import ArtifactStore
from schemas import ModelVersion
from stream.preprocessing import prepare
from tests.unit.inference.tiny import graph_bytes, make_version, tiny_weights

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "registry"), cache_dir=tmp_path / "cache")


def stored(store: ArtifactStore, weights: bytes) -> ModelVersion:
    store.put(graph_bytes())
    store.put(weights)
    return make_version(1, graph_bytes(), weights)


def test_a_self_contained_file_draws_the_mask_that_we_draw(store: ArtifactStore, tmp_path: Path) -> None:
    version = stored(store, save(tiny_weights(1, 1.0)))
    path = write_self_contained(version, store, tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    images = prepare(pixels)[None]
    loader = SessionLoader(1, (64, 64))
    ours = loader.load(version, store.open_local(version.graph), store.open_local(version.weights)).run(images)
    theirs = Segmenter(str(path)).judge(pixels.tobytes(), pixels.shape)
    assert ours.mask.any()
    assert zlib.decompress(base64.b64decode(theirs["mask"])) == ours.mask.tobytes()


def test_weights_that_are_missing_are_not_passed_over(store: ArtifactStore, tmp_path: Path) -> None:
    weights = load(save(tiny_weights(1, 1.0)))
    version = stored(store, save({"unknown": next(iter(weights.values()))}))
    with pytest.raises(ValueError, match="lack"):
        write_self_contained(version, store, tmp_path)


def test_a_frame_of_another_size_than_it_says_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    path = write_self_contained(stored(store, save(tiny_weights(1, 1.0))), store, tmp_path)
    with pytest.raises(ValueError, match="reshape"):
        Segmenter(str(path)).judge(bytes(10), (64, 64))


@pytest.mark.parametrize("peer", ["mlserver", "ray"])
def test_peers_run_our_version_of_onnxruntime_from_a_lock_that_names_no_host(peer: str) -> None:
    ours = re.search(r"^onnxruntime==\S+", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    lock = (ROOT / f"benchmarks/peers/requirements/{peer}.txt").read_text()
    assert ours is not None
    assert f"\n{ours[0]} " in lock
    assert "://" not in lock
    assert lock.count("==") <= lock.count("--hash=sha256:")
