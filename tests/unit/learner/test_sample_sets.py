import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.sample_sets import GOLDEN, SampleSet, pack, unpack
from memory.artifacts import ArtifactStore
from memory.samples import Sample
from schemas.errors import BadPayloadError, DigestMismatchError
from tests.unit.learner.records import make_sample

SAMPLES = [
    make_sample(0, "a", offset=3),
    make_sample(1, "b", side=9),
    Sample("scan", "c", "weld-2", np.full((2, 5), 0.5, np.float32), np.eye(2, 5, dtype=np.uint8)),
]
PACKED = pack(SAMPLES)
ENDS = {0, *(len(pack(SAMPLES[:count])) for count in (1, 2, 3))}


def stored(samples: list[Sample]) -> list[bytes]:
    return [sample.to_bytes() for sample in samples]


def make_set(root: Path, model_name: str = "weld") -> SampleSet:
    artifacts = ArtifactStore(str(root / "registry"), cache_dir=root / "cache")
    return SampleSet(str(root / "registry"), {}, model_name, GOLDEN, artifacts)


def test_samples_come_back_as_they_were_and_in_order() -> None:
    assert stored(unpack(PACKED)) == stored(SAMPLES)
    assert unpack(pack([])) == []


def test_the_file_is_as_documented() -> None:
    (length,) = struct.unpack_from("<Q", PACKED)
    assert Sample.from_bytes(PACKED[8 : 8 + length]).label_id == "label-0"
    assert sum(8 + len(data) for data in stored(SAMPLES)) == len(PACKED)


@given(st.integers(0, len(PACKED)).filter(lambda cut: cut not in ENDS))
def test_a_truncated_file_is_refused(cut: int) -> None:
    with pytest.raises(BadPayloadError, match=r"truncated|no stored sample"):
        unpack(PACKED[:cut])


def test_a_set_is_kept_once(tmp_path: Path) -> None:
    golden = make_set(tmp_path)
    assert golden.load() == []
    assert golden.keep(SAMPLES)
    assert not golden.keep(SAMPLES[:1])
    assert stored(golden.load()) == stored(SAMPLES)
    assert not make_set(tmp_path).keep([])
    assert stored(make_set(tmp_path).load()) == stored(SAMPLES)


def test_each_model_line_has_its_own(tmp_path: Path) -> None:
    assert make_set(tmp_path).keep(SAMPLES)
    other = make_set(tmp_path, "other")
    assert other.load() == []
    assert other.keep(SAMPLES[:1])
    assert stored(make_set(tmp_path).load()) == stored(SAMPLES)


def test_a_set_cut_between_two_samples_is_refused_by_its_digest(tmp_path: Path) -> None:
    make_set(tmp_path).keep(SAMPLES)
    (artifact,) = (path for path in (tmp_path / "registry").glob("artifacts/sha256/*/*") if path.is_file())
    artifact.write_bytes(pack(SAMPLES[:2]))
    with pytest.raises(DigestMismatchError):
        make_set(tmp_path).load()
