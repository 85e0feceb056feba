import asyncio
import random
from collections.abc import Mapping

import pytest
from aiokafka.errors import (
    CommitFailedError,
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFenced,
)
from aiokafka.structs import TopicPartition
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from inference.sink import AtLeastOnceSink
from stream.records import OutRecord
from stream.retry import RetryPolicy

OFFSETS = {TopicPartition("frames", 0): 7}


class Kafka:
    """Producer and consumer that write down what happens, and fail as told."""

    def __init__(self, failures: Mapping[str, list[Exception]] | None = None) -> None:
        self.failures = dict(failures or {})
        self.events: list[str] = []

    def _event(self, name: str) -> None:
        if self.failures.get(name):
            raise self.failures[name].pop(0)
        self.events.append(name)

    async def send(self, topic: str, **_: object) -> asyncio.Future[None]:
        delivery: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            try:
                self._event(topic)
            except Exception as error:  # noqa: BLE001
                delivery.set_exception(error)
            else:
                delivery.set_result(None)

        asyncio.get_running_loop().call_soon(arrive)
        return delivery

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        assert offsets == OFFSETS
        self._event("commit")


async def publish(kafka: Kafka) -> InferenceMetrics:
    metrics = InferenceMetrics(CollectorRegistry())
    retry = RetryPolicy(attempts=3, base_seconds=0)
    sink = AtLeastOnceSink(kafka, kafka, metrics, random.Random(0), retry)  # type: ignore[arg-type]
    await sink.publish([OutRecord("a", b"k", b"v"), OutRecord("b", b"k", b"v")], OFFSETS)
    return metrics


async def test_commits_after_all_outputs_arrived() -> None:
    kafka = Kafka()
    await publish(kafka)
    assert kafka.events == ["a", "b", "commit"]


async def test_only_what_failed_is_sent_again() -> None:
    kafka = Kafka({"a": [KafkaConnectionError(), KafkaTimeoutError()], "commit": [KafkaConnectionError()]})
    await publish(kafka)
    assert kafka.events == ["b", "a", "commit"]


async def test_nothing_is_committed_if_an_output_never_arrives() -> None:
    kafka = Kafka({"b": [KafkaConnectionError() for _ in range(3)]})
    with pytest.raises(KafkaConnectionError):
        await publish(kafka)
    assert kafka.events == ["a"]


async def test_errors_for_good_are_raised_at_once() -> None:
    kafka = Kafka({"a": [ProducerFenced()], "b": [KafkaConnectionError()]})
    with pytest.raises(ProducerFenced):
        await publish(kafka)
    assert "commit" not in kafka.events


async def test_an_output_too_large_for_its_topic_is_counted_and_passed_over() -> None:
    kafka = Kafka({"a": [MessageSizeTooLargeError()]})
    metrics = await publish(kafka)
    assert kafka.events == ["b", "commit"]
    assert metrics.outputs_refused._value.get() == 1


async def test_a_lost_partition_does_not_stop_the_stream() -> None:
    metrics = await publish(Kafka({"commit": [CommitFailedError()]}))
    assert metrics.retries.labels("lost_partition")._value.get() == 1
