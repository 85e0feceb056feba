from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from learner.beginning import Beginning, Revoked, find_beginning
from learner.checkpoint import Checkpoint, CheckpointStore, Position
from learner.state import State
from memory.registry import ModelRegistry
from schemas.classes import ClassTable
from schemas.events import Artifact, ReleaseKind

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FILE = Artifact(sha256="ab" * 32, size_bytes=3)
NOBODY = Revoked()
MALLORY = Revoked(frozenset({"mallory"}), frozenset({(0, 12), (0, 30), (1, 7)}))


class Line:
    """A model line with checkpoints of one learner."""

    def __init__(self, folder: Path) -> None:
        self.registry = ModelRegistry(str(folder / "registry"), "weld", clock=lambda: NOON)
        self.checkpoints = CheckpointStore(folder / "checkpoints")
        self.notes: list[str] = []
        self.epoch = self.registry.take_over("us")

    def release(self, read: Mapping[int, int], without: tuple[str, ...] = ()) -> int:
        version = self.registry.publish(
            graph=FILE,
            weights=FILE,
            parent=None,
            architecture="Unet",
            classes=ClassTable(),
            preprocessing="1",
            size_multiple=32,
            labels_learned=4,
            labels_until=read,
            labels_read=read,
            without_inspectors=without,
            metrics={},
            gate=None,
            created_at=NOON,
        )
        self.registry.promote(version.model.version, ReleaseKind.RELEASE)
        return version.model.version

    def save(self, *, read: Mapping[int, int], without: tuple[str, ...] = (), trained: bool = True) -> None:
        extra: dict[str, Any] = {
            "epoch": self.epoch,
            "read": {str(p): o for p, o in read.items()},
            "without": list(without),
            "trained": trained,
        }
        self.checkpoints.save(Checkpoint(Position(), State(), extra))

    def begin(self, revoked: Revoked = NOBODY, *, deterministic: bool = False) -> Beginning:
        return find_beginning(
            self.registry, self.checkpoints, "us", revoked, self.notes.append, deterministic=deterministic
        )


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def test_nothing_begins_untrained(line: Line) -> None:
    assert line.begin() == Beginning(None, None, None)


def test_the_own_checkpoint_is_continued(line: Line) -> None:
    line.release({0: 10})
    line.save(read={0: 14})
    found = line.begin()
    assert found.checkpoint is not None
    assert found.read == {0: 14}
    assert not line.notes


def test_a_checkpoint_from_before_another_led_is_not(line: Line) -> None:
    version = line.release({0: 10})
    line.save(read={0: 14})
    line.registry.take_over("them")
    line.registry.take_over("us")
    found = line.begin()
    assert found.checkpoint is None
    assert found.version is not None
    assert found.version.model.version == version
    assert "another learner" in line.notes[0]


def test_a_checkpoint_from_before_the_first_release_is_continued_only_by_a_deterministic_learner(line: Line) -> None:
    line.save(read={}, trained=False)
    line.release({0: 10})
    assert line.begin().checkpoint is None
    assert line.begin(deterministic=True).checkpoint is not None


def test_of_versions_that_learned_revoked_labels_none_is_gone_on_from(line: Line) -> None:
    clean = line.release({0: 12, 1: 7})
    for read in ({0: 13, 1: 7}, {0: 12, 1: 8}, {0: 40, 1: 40}):
        line.release(read)
    line.save(read={0: 40, 1: 40})
    found = line.begin(MALLORY)
    assert found.checkpoint is None
    assert found.version is not None
    assert found.version.model.version == clean
    assert found.serving is not None
    assert "mallory" in line.notes[0]


def test_where_all_learned_them_learning_begins_untrained(line: Line) -> None:
    line.release({0: 13, 1: 7})
    found = line.begin(MALLORY)
    assert found.version is None
    assert found.read == {}
    assert found.serving is not None


def test_what_was_learned_without_them_is_gone_on_from(line: Line) -> None:
    version = line.release({0: 40, 1: 40}, without=("mallory", "eve"))
    assert line.begin(MALLORY).version == line.registry.get(version)
    line.save(read={0: 50, 1: 40}, without=("mallory",))
    assert line.begin(MALLORY).checkpoint is not None


def test_what_was_taken_back_is_not_gone_on_from(line: Line) -> None:
    for read in (1, 2, 3):
        line.release({0: read, 1: 0})
    line.registry.roll_back("worse", 1)
    found = line.begin(MALLORY)
    assert found.version is not None
    assert found.version.model.version == 1
