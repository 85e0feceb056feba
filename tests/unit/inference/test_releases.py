import asyncio
import random
from collections.abc import Mapping, Sequence

from aiokafka.structs import TopicPartition
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from inference.releases import ReleaseFollower
from schemas.errors import ModelLoadError, ServiceUnavailableError, WeldstreamError
from schemas.events import ModelReleased, ModelVersion, ReleaseKind
from schemas.topics import MODEL_RELEASES
from stream.codec import encode_event
from stream.records import InRecord
from stream.retry import RetryPolicy
from tests.unit.inference.records import Record, as_read
from tests.unit.inference.tiny import NOW, make_version

PARTITION = TopicPartition("t.model-releases", 0)


class Log:
    """A topic of one partition that is read in given portions."""

    def __init__(self, *portions: Sequence[InRecord]) -> None:
        self.portions = list(portions)
        self.end = sum(len(p) for p in portions)
        self.at = 0

    async def getmany(
        self, *, timeout_ms: int = 0, max_records: int | None = None
    ) -> Mapping[TopicPartition, Sequence[InRecord]]:
        await asyncio.sleep(0)
        if not self.portions:
            return {}
        portion = self.portions.pop(0)
        self.at += len(portion)
        return {PARTITION: portion} if portion else {}

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset({PARTITION})

    def highwater(self, partition: TopicPartition) -> int:
        return self.end

    async def position(self, partition: TopicPartition) -> int:
        return self.at


class Installer:
    def __init__(self, failures: Mapping[int, list[WeldstreamError]]) -> None:
        self.failures = failures
        self.tried: list[int] = []
        self.installed: list[int] = []

    async def install(self, version: ModelVersion, announced_at: object = None) -> None:
        number = version.model.version
        self.tried.append(number)
        if self.failures.get(number):
            raise self.failures[number].pop(0)
        self.installed.append(number)


def announcement(number: int, sequence: int | None = None, **changes: object) -> Record:
    version = make_version(number, b"g", str(number).encode(), **changes)
    release = ModelReleased(
        version=version, kind=ReleaseKind.RELEASE, sequence=sequence or number, announced_at=NOW, reason=""
    )
    record = encode_event(PARTITION.topic, MODEL_RELEASES, release, key="weld", event_id="r", source="/test", time=NOW)
    return as_read(record)


async def follow(log: Log, installer: Installer, *, until: int | None) -> tuple[ReleaseFollower, list[str]]:
    refused: list[str] = []

    async def refuse(record: InRecord, error: WeldstreamError) -> None:
        refused.append(error.reason)

    follower = ReleaseFollower(
        consumer=log,  # type: ignore[arg-type]
        model_name="weld",
        installer=installer,  # type: ignore[arg-type]
        refuse=refuse,
        metrics=InferenceMetrics(CollectorRegistry()),
        retry=RetryPolicy(attempts=4, base_seconds=0.001, cap_seconds=0.001),
        rng=random.Random(0),
    )
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(10):
        while (log.portions or follower.taken != until) and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return follower, refused


async def test_only_the_newest_of_the_topic_is_loaded() -> None:
    installer = Installer({})
    await follow(Log([announcement(1), announcement(2)], [announcement(3)]), installer, until=3)
    assert installer.tried == [3]


async def test_a_refused_release_gives_way_to_the_next_newest() -> None:
    installer = Installer({3: [ModelLoadError("broken")]})
    _, refused = await follow(Log([announcement(1), announcement(2), announcement(3)]), installer, until=2)
    assert installer.tried == [3, 2]
    assert refused == ["model_load_failed"]


async def test_a_store_that_is_away_is_asked_again() -> None:
    installer = Installer({1: [ServiceUnavailableError("away")] * 2})
    follower, refused = await follow(Log([announcement(1)]), installer, until=1)
    assert (installer.tried, refused, follower.taken) == ([1, 1, 1], [], 1)


async def test_attempts_end() -> None:
    installer = Installer({2: [ServiceUnavailableError("away")] * 9})
    _, refused = await follow(Log([announcement(1), announcement(2)]), installer, until=1)
    assert installer.tried == [2, 2, 2, 2, 1]
    assert refused == ["service_unavailable"]


async def test_sequence_decides_not_the_version_number() -> None:
    installer = Installer({})
    rollback = announcement(4, 12)
    log = Log([announcement(9, 9), announcement(10, 10), announcement(11, 11)], [], [rollback])
    log.end = 3
    follower, _ = await follow(log, installer, until=12)
    assert installer.installed == [11, 4]
    assert follower.taken == 12


async def test_what_is_not_for_us_is_passed_over() -> None:
    other = announcement(7, model={"name": "other", "version": 7, "digest": "0" * 64})
    tombstone = Record(key=b"weld", value=None)
    installer = Installer({})
    _, refused = await follow(Log([other, tombstone, Record(value=b"?"), announcement(1)]), installer, until=1)
    assert (installer.tried, refused) == ([1], ["missing_header"])
