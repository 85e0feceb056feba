import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory.artifacts import ArtifactStore
from memory.registry import FencedError, ModelRegistry, RegistryError
from schemas.classes import ClassTable
from schemas.errors import ArtifactNotFoundError, DigestMismatchError
from schemas.events import Artifact, GateVerdict, ModelVersion, ReleaseKind

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FILE = Artifact(sha256="ab" * 32, size_bytes=3)


@pytest.fixture(params=["folder", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "registry") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"


def publish(registry: ModelRegistry, parent: int | None = None) -> ModelVersion:
    return registry.publish(
        graph=FILE,
        weights=FILE,
        parent=parent,
        architecture="Unet",
        classes=ClassTable(),
        preprocessing="1",
        size_multiple=32,
        labels_learned=4,
        labels_until={0: 4},
        metrics={"dice": 0.5},
        gate=None,
        created_at=NOON,
    )


def make(uri: str) -> ModelRegistry:
    return ModelRegistry(uri, "weld", clock=lambda: NOON)


def test_versions_are_numbered_and_read_back(uri: str) -> None:
    published = [publish(make(uri)) for _ in range(11)]
    assert [v.model.version for v in published] == list(range(1, 12))
    assert make(uri).list() == tuple(published)
    assert make(uri).get(11) == published[-1]
    with pytest.raises(RegistryError, match="no entry 12"):
        make(uri).get(12)


def test_the_newest_announcement_serves(uri: str) -> None:
    registry = make(uri)
    assert registry.serving() is None
    for _ in range(3):
        publish(registry)
    first = registry.promote(1, ReleaseKind.INITIAL)
    registry.promote(2, ReleaseKind.RELEASE)
    third = registry.promote(3, ReleaseKind.RELEASE, "better")
    assert make(uri).serving() == third
    assert (first.sequence, third.sequence) == (1, 3)


def test_rolling_back_twice_goes_two_back(uri: str) -> None:
    registry = make(uri)
    for _ in range(3):
        registry.promote(publish(registry).model.version, ReleaseKind.RELEASE)
    back = [registry.roll_back("worse"), registry.roll_back("worse still")]
    assert [b.version.model.version for b in back] == [2, 1]
    assert [b.sequence for b in back] == [4, 5]
    assert back[0].kind is ReleaseKind.ROLLBACK
    with pytest.raises(RegistryError, match="served before"):
        registry.roll_back("nothing left")


def test_refusals_are_kept(uri: str) -> None:
    verdict = GateVerdict(passed=False, comparisons=(), seconds=1.0)
    refused = make(uri).record_refusal(verdict, parent=1, labels_learned=7)
    assert make(uri).refusals() == (refused,)


def test_two_writers_never_share_a_number(tmp_path: Path) -> None:
    numbers: list[int] = []

    def write() -> None:
        numbers.extend(publish(make(str(tmp_path))).model.version for _ in range(10))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 41))


@pytest.fixture
def store(uri: str, tmp_path: Path) -> Callable[..., ArtifactStore]:
    return lambda **kwargs: ArtifactStore(uri, cache_dir=tmp_path / "cache", **kwargs)


def test_an_artifact_is_fetched_verified_and_cached(store: Callable[..., ArtifactStore], tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"weights")
    artifact = store().put(b"weights")
    assert store().put(source) == artifact
    path = store().open_local(artifact)
    assert path.read_bytes() == b"weights"
    path.write_bytes(b"damaged")
    assert store().open_local(artifact).read_bytes() == b"weights"


def test_a_missing_or_lying_artifact_is_refused(store: Callable[..., ArtifactStore]) -> None:
    with pytest.raises(ArtifactNotFoundError):
        store().open_local(FILE)
    artifact = store().put(b"weights")
    with pytest.raises(DigestMismatchError):
        store().open_local(artifact.model_copy(update={"size_bytes": 3}))


def test_changed_bytes_in_the_store_are_refused(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "registry"), cache_dir=tmp_path / "cache")
    artifact = store.put(b"weights")
    (tmp_path / "registry/artifacts/sha256" / artifact.sha256[:2] / artifact.sha256).write_bytes(b"wEights")
    with pytest.raises(DigestMismatchError):
        store.open_local(artifact)


def test_the_cache_is_bounded(store: Callable[..., ArtifactStore], tmp_path: Path) -> None:
    kept = store(cache_bytes=250)
    artifacts = [kept.put(bytes([i]) * 100) for i in range(4)]
    paths = [kept.open_local(a) for a in artifacts]
    assert [p.exists() for p in paths] == [False, False, True, True]


def test_a_fence_is_no_announcement_and_takes_a_number(uri: str) -> None:
    registry = make(uri)
    publish(registry)
    assert registry.take_over("a") == 1
    assert registry.serving() is None
    first = registry.promote(1, ReleaseKind.INITIAL, epoch=1)
    assert registry.take_over("b") == 2
    assert registry.serving() == first
    assert registry.releases() == (first,)
    assert registry.epoch() == 2


def test_a_learner_of_an_earlier_epoch_can_neither_release_nor_roll_back(uri: str) -> None:
    registry = make(uri)
    for _ in range(2):
        publish(registry)
    old = registry.take_over("old")
    registry.promote(1, ReleaseKind.INITIAL, epoch=old)
    last = registry.promote(2, ReleaseKind.RELEASE, epoch=old)
    new = registry.take_over("new")
    with pytest.raises(FencedError, match="epoch 2 has begun"):
        registry.promote(1, ReleaseKind.RELEASE, epoch=old)
    with pytest.raises(FencedError):
        registry.roll_back("worse", epoch=old)
    assert registry.serving() == last
    assert registry.promote(1, ReleaseKind.RELEASE, epoch=new).sequence > last.sequence


def test_a_person_is_not_fenced_off(uri: str) -> None:
    registry = make(uri)
    publish(registry)
    registry.take_over("learner")
    assert registry.promote(1, ReleaseKind.RELEASE).version.model.version == 1


def test_a_fence_between_the_check_and_the_announcement_wins(uri: str) -> None:
    """The learner sleeps after it has looked for fences, and wakes when another has taken over."""
    other = make(uri)
    slept = False

    def clock() -> datetime:
        nonlocal slept
        if armed and not slept:
            slept = True
            other.take_over("new")
        return NOON

    armed = False
    registry = ModelRegistry(uri, "weld", clock=clock)
    publish(registry)
    epoch = registry.take_over("old")
    armed = True
    with pytest.raises(FencedError):
        registry.promote(1, ReleaseKind.INITIAL, epoch=epoch)
    assert registry.serving() is None


def test_of_many_that_take_over_at_once_each_has_an_epoch_of_its_own(uri: str) -> None:
    epochs: list[int] = []
    threads = [threading.Thread(target=lambda: epochs.append(make(uri).take_over("x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(epochs) == list(range(1, 9))


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    registry = ModelRegistry(str(tmp_path), "weld")
    publish(registry)
    path = tmp_path / "models" / "weld" / "versions" / "00000001.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(RegistryError, match="is damaged"):
        registry.get(1)


def test_an_artifact_of_another_size_is_refused_unread(tmp_path: Path) -> None:
    artifacts = ArtifactStore(str(tmp_path / "registry"), cache_dir=tmp_path / "cache")
    stored = artifacts.put(b"weights")
    with pytest.raises(DigestMismatchError, match="is stored as 7 bytes"):
        artifacts.open_local(stored.model_copy(update={"size_bytes": 8}))
