import asyncio
import random
from collections.abc import Mapping, Sequence

from aiokafka.structs import TopicPartition
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from inference.releases import ReleaseFollower
from memory.signing import Signer, Verifier
from schemas.errors import ModelLoadError, ServiceUnavailableError, WeldstreamError
from schemas.events import ModelReleased, ModelVersion, ReleaseKind
from schemas.topics import MODEL_RELEASES
from stream.codec import encode_event
from stream.records import InRecord
from stream.retry import RetryPolicy
from tests.unit.inference.records import Record, as_read
from tests.unit.inference.tiny import NOW, make_version

PARTITION = TopicPartition("t.model-releases", 0)
SIGNER = Signer(Ed25519PrivateKey.generate())


class Log:
    """A topic of one partition that is read in given portions."""

    def __init__(self, *portions: Sequence[InRecord]) -> None:
        self.portions = list(portions)
        self.end = sum(len(p) for p in portions)
        self.at = 0
        self.history = 0

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

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {PARTITION: self.history}

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
    release = SIGNER.sign(
        ModelReleased(
            version=version, kind=ReleaseKind.RELEASE, sequence=sequence or number, announced_at=NOW, reason=""
        )
    )
    return announced(release)


def announced(release: ModelReleased, offset: int = 0) -> Record:
    record = encode_event(PARTITION.topic, MODEL_RELEASES, release, key="weld", event_id="r", source="/test", time=NOW)
    return as_read(record, offset)


async def follow(
    log: Log, installer: Installer, *, until: int | None, offered: ModelReleased | None = None
) -> tuple[ReleaseFollower, list[str]]:
    refused: list[str] = []

    async def refuse(record: InRecord, error: WeldstreamError) -> None:
        refused.append(error.reason)

    follower = ReleaseFollower(
        consumer=log,  # type: ignore[arg-type]
        model_name="weld",
        installer=installer,  # type: ignore[arg-type]
        verifier=Verifier([SIGNER.public_key]),
        refuse=refuse,
        metrics=InferenceMetrics(CollectorRegistry()),
        retry=RetryPolicy(attempts=4, base_seconds=0.001, cap_seconds=0.001),
        rng=random.Random(0),
    )
    if offered is not None:
        follower.offer(offered)
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


def by(signer: Signer | None, number: int, offset: int = 0) -> Record:
    """An announcement signed by somebody, or by nobody."""
    version = make_version(number, b"g", str(number).encode())
    release = ModelReleased(version=version, kind=ReleaseKind.RELEASE, sequence=number, announced_at=NOW)
    return announced(release if signer is None else signer.sign(release), offset)


def altered(number: int, **changes: object) -> Record:
    release = SIGNER.sign(
        ModelReleased(
            version=make_version(number, b"g", b"w"), kind=ReleaseKind.RELEASE, sequence=number, announced_at=NOW
        )
    )
    return announced(release.model_copy(update=changes))


async def test_only_what_a_trusted_key_has_signed_is_installed() -> None:
    installer = Installer({})
    stranger = Signer(Ed25519PrivateKey.generate())
    log = Log(
        [announcement(1)],
        [],
        [],
        [by(None, 2), by(stranger, 3), altered(4, sequence=40), altered(5, version=make_version(5, b"g", b"other"))],
        [],
        [announcement(6)],
    )
    follower, refused = await follow(log, installer, until=6)
    assert installer.installed == [1, 6]
    assert refused == ["unsigned", "unknown_key", "bad_signature", "bad_signature"]
    counted = follower._metrics.releases_refused.labels("bad_signature")._value.get()
    assert counted == 2


async def test_an_announcement_that_is_sent_again_is_refused_unless_it_is_the_newest() -> None:
    installer = Installer({})
    log = Log([announcement(5)], [], [], [announcement(4), announcement(5)], [], [announcement(6)])
    _, refused = await follow(log, installer, until=6)
    assert installer.installed == [5, 6]
    assert refused == ["stale_release"]


async def test_history_is_no_replay() -> None:
    installer = Installer({})
    records = [by(SIGNER, number, offset) for offset, number in enumerate((4, 5, 3))]
    log = Log(records[1:2], [], [], records[:1], records[2:], [], [by(SIGNER, 6, 9)])
    log.history = 2  # 4 and 5 were there before, 3 was sent afterwards
    _, refused = await follow(log, installer, until=6)
    assert installer.installed == [5, 6]
    assert refused == ["stale_release"]


async def test_what_the_registry_has_counts_more_than_an_older_announcement() -> None:
    """Whoever can write to the topic waits for a restart and brings an old version back: in vain."""
    installer = Installer({})
    newest = ModelReleased(
        version=make_version(9, b"g", b"9"), kind=ReleaseKind.RELEASE, sequence=9, announced_at=NOW, reason=""
    )
    log = Log([by(SIGNER, 3)])
    log.history = 1
    _, refused = await follow(log, installer, until=9, offered=SIGNER.sign(newest))
    assert installer.installed == [9]
    assert refused == []
