import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from learner.lab.errors import BadExperimentError
from learner.lab.recording import split_welds
from learner.lab.streams.recorded import MANIFEST, Manifest, Range, RecordedConfig, framed, read_samples
from memory.samples import Sample
from schemas.classes import ClassTable
from schemas.errors import DigestMismatchError

WELDS = {"a": [f"weld-{i}" for i in range(20)], "b": [f"weld-{i}" for i in range(15, 40)]}


def test_a_weld_is_in_one_part_whatever_the_order_of_reading() -> None:
    split = split_welds(WELDS, 0.3, 0.1, 0)
    backwards = split_welds({d: list(reversed(w)) for d, w in reversed(WELDS.items())}, 0.3, 0.1, 0)
    assert split == backwards
    assert len(split) == 40
    assert sum(split[w] == "test" for w in WELDS["a"]) == 6
    assert split != split_welds(WELDS, 0.3, 0.1, 1)


def test_of_two_welds_one_is_tested_on() -> None:
    assert sorted(split_welds({"a": ["x", "y"]}, 0.1, 0.0, 0).values()) == ["test", "train"]


def sample(i: int, domain: str) -> Sample:
    rng = np.random.default_rng(i)
    pixels = rng.integers(256, size=(40, 48), dtype=np.uint8)
    return Sample(f"label-{i}", domain, f"weld-{domain}-{i % 4}", pixels, (pixels > 250).astype(np.uint8))


def recorded(folder: Path, split: dict[str, str]) -> list[Sample]:
    samples = [sample(i, domain) for domain in ("later", "early") for i in range(8)]
    data = b"".join(map(framed, samples))
    (folder / "labels-0.samples").write_bytes(data)
    part = Range(
        topic="labels", partition=0, start=0, end=16, digest="", labels=16, unreadable=0,
        file="labels-0.samples", file_digest=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
    manifest = Manifest.model_validate(
        {
            "recorded_at": datetime(2026, 1, 1, tzinfo=UTC),
            "classes": ClassTable(),
            "ranges": (part,),
            "split": split,
            "domains": ("early", "later"),
        }
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return samples


def split_by(parts: list[str]) -> dict[str, str]:
    return {f"weld-{domain}-{i}": part for domain in ("early", "later") for i, part in enumerate(parts)}


def test_a_recording_is_a_stream(tmp_path: Path) -> None:
    recorded(tmp_path, split_by(["train", "test", "train", "validation"]))
    stream = RecordedConfig(data=tmp_path, size=32).open(0)
    assert [d.name for d in stream.domains] == ["early", "later"]
    domain = stream.domains[0]
    assert (len(domain.train), len(domain.validation), len(domain.test)) == (4, 2, 2)
    assert stream.classes[:2] == ("background", "crack")


def test_what_was_copied_comes_back(tmp_path: Path) -> None:
    samples = recorded(tmp_path, split_by(["train", "test", "train", "train"]))
    path = tmp_path / "labels-0.samples"
    back = list(read_samples(path, hashlib.sha256(path.read_bytes()).hexdigest()))
    assert [s.label_id for s in back] == [s.label_id for s in samples]
    np.testing.assert_array_equal(back[5].pixels, samples[5].pixels)


def test_a_changed_copy_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path, split_by(["train", "test", "train", "train"]))
    path = tmp_path / "labels-0.samples"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DigestMismatchError):
        RecordedConfig(data=tmp_path).open(0)


def test_a_domain_without_a_weld_to_test_on_is_named(tmp_path: Path) -> None:
    recorded(tmp_path, split_by(["train"] * 4))
    with pytest.raises(BadExperimentError, match="early"):
        RecordedConfig(data=tmp_path).open(0)
