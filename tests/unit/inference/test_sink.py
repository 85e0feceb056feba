import asyncio
import random
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, ProducerFenced, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from inference.ownership import Owned
from inference.sink import TransactionalSink
from inference.welds import WeldBook
from stream.crash_points import CrashPoints
from stream.records import OutRecord
from stream.retry import RetryPolicy

FRAMES = TopicPartition("frames", 0)
OUTPUTS = [OutRecord("a", b"k", b"v"), OutRecord("b", b"k", b"v")]


class Broker:
    """What is committed, and how the next transactions end: each step fails once for each error given."""

    def __init__(self, failures: Mapping[str, list[Exception]] | None = None, committed: int | None = 3) -> None:
        self.failures = {name: list(errors) for name, errors in (failures or {}).items()}
        self.committed = committed
        self.records: list[str] = []
        self.producers = 0

    def step(self, name: str) -> None:
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    def owned(self) -> Owned:
        return Owned(FRAMES, Producer(self), self.committed, WeldBook((), 0.0))

    async def renew(self, owned: Owned) -> int | None:
        owned.producer = Producer(self)
        self.step("renew")
        return self.committed


class Producer:
    """Nothing of a transaction is seen before its end."""

    def __init__(self, broker: Broker) -> None:
        broker.producers += 1
        self.broker = broker
        self.sent: list[str] = []
        self.upto = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def begin_transaction(self) -> None:
        self.sent = []

    async def send(self, topic: str, **_: Any) -> asyncio.Future[None]:
        delivery: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self.broker.step("send")
        except Exception as error:  # noqa: BLE001
            delivery.set_exception(error)
        else:
            self.sent.append(topic)
            delivery.set_result(None)
        return delivery

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, int], group_id: str) -> None:
        assert group_id == "group"
        self.broker.step("offsets")
        self.upto = offsets[FRAMES]

    async def commit_transaction(self) -> None:
        self.broker.step("commit")
        self.broker.records += self.sent
        self.broker.committed = self.upto
        self.broker.step("answer")


async def publish(broker: Broker, owned: Owned) -> tuple[bool, InferenceMetrics]:
    metrics = InferenceMetrics(CollectorRegistry())
    retry = RetryPolicy(attempts=4, base_seconds=0)
    sink = TransactionalSink("group", broker, metrics, random.Random(0), crash=CrashPoints(), retry=retry)  # type: ignore[arg-type]
    return await sink.publish(owned, OUTPUTS, 7), metrics


async def test_outputs_and_offset_are_committed_together() -> None:
    broker = Broker()
    owned = broker.owned()
    published, _ = await publish(broker, owned)
    assert published
    assert (broker.records, broker.committed, owned.next) == (["a", "b"], 7, 7)


@pytest.mark.parametrize("step", ["send", "offsets", "commit", "answer"])
@pytest.mark.parametrize("error", [KafkaConnectionError, KafkaTimeoutError, AssertionError])
async def test_a_transaction_that_fails_anywhere_is_seen_once(step: str, error: type[Exception]) -> None:
    broker = Broker({step: [error()], "renew": [KafkaConnectionError()]})
    owned = broker.owned()
    published, metrics = await publish(broker, owned)
    assert published
    assert (broker.records, broker.committed, owned.next) == (["a", "b"], 7, 7)
    assert broker.producers == 3
    assert metrics.retries.labels("transaction")._value.get() == 1


async def test_a_fenced_owner_publishes_nothing_more() -> None:
    broker = Broker({"offsets": [ProducerFenced()]})
    owned = broker.owned()
    published, metrics = await publish(broker, owned)
    assert (published, owned.lost, broker.records) == (False, True, [])
    assert metrics.fenced._value.get() == 1
    assert not (await publish(broker, owned))[0]
    assert broker.records == []


async def test_who_finds_that_another_went_on_gives_up() -> None:
    broker = Broker({"send": [KafkaConnectionError()]})
    owned = broker.owned()
    broker.committed = 5
    published, _ = await publish(broker, owned)
    assert (published, owned.lost, broker.records) == (False, True, [])


async def test_what_is_forbidden_is_not_tried_again() -> None:
    broker = Broker({"send": [TopicAuthorizationFailedError()]})
    with pytest.raises(TopicAuthorizationFailedError):
        await publish(broker, broker.owned())
    assert broker.producers == 1
