"""Creates the topics of the table on a broker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from schemas.errors import ServiceUnavailableError
from schemas.settings import KafkaSettings
from schemas.topics import MIB, TOPICS, Topic
from stream.access import start
from stream.broker import make_admin

logger = logging.getLogger(__name__)

_FORBIDDEN = TopicAuthorizationFailedError
_POLLS = 100
_POLL_SECONDS = 0.1
_COMPACTED_SEGMENT_MS = 10 * 60 * 1000
_COMPACTED_SEGMENT_BYTES = 16 * MIB


async def ensure_topics(
    kafka: KafkaSettings,
    topics: Sequence[Topic] = TOPICS,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> tuple[str, ...]:
    """Create the topics that are missing, and return once all of them can be used.

    Several processes may do so at once. Topics that exist are left as they
    are; where they differ from the table, a warning says how.

    Parameters
    ----------
    kafka : KafkaSettings
        Where, the prefix and the replication factor.
    topics : sequence of Topic
        What is needed.
    sleep : callable
        Awaited between looks at the cluster.

    Returns
    -------
    tuple of str
        Full names of the topics that this call created.

    Raises
    ------
    ServiceUnavailableError
        If a topic has no leader after some seconds.
    AccessRefusedError
        If the brokers refuse our user, or show a certificate that is not trusted.
    KafkaError
        If the broker refuses to create one.
    """
    # Published without type hints.
    admin: Any = make_admin(kafka)
    try:
        await start(admin, kafka)
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics if kafka.topic(topic) not in existing]
        created = await _create(admin, kafka, missing)
        await _wait_for_leaders(admin, [kafka.topic(topic) for topic in topics], sleep)
        await _report_differences(admin, kafka, [topic for topic in topics if topic not in missing])
    finally:
        await admin.close()
    return created


def topic_configs(topic: Topic) -> dict[str, str]:
    """Return a topic's settings as Kafka names them."""
    configs = {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
    }
    if topic.cleanup == "compact":
        # Only closed segments are compacted, and whoever takes a partition over reads all that is left.
        configs |= {"segment.ms": str(_COMPACTED_SEGMENT_MS), "segment.bytes": str(_COMPACTED_SEGMENT_BYTES)}
    return configs


async def _create(admin: Any, kafka: KafkaSettings, topics: Sequence[Topic]) -> tuple[str, ...]:
    if not topics:
        return ()
    new: Any = NewTopic
    response = await admin.create_topics(
        [
            new(kafka.topic(topic), topic.partitions, kafka.replication_factor, topic_configs=topic_configs(topic))
            for topic in topics
        ]
    )
    created = []
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            hint = "; create it as the operator: weldstream topics create" if error is _FORBIDDEN else ""
            raise error(f"topic {name} cannot be created: {message}{hint}")
    return tuple(created)


async def _wait_for_leaders(admin: Any, names: list[str], sleep: Callable[[float], Awaitable[object]]) -> None:
    """Wait until the brokers know the topics, which is some time after the controller created them."""
    for _ in range(_POLLS):
        described = await admin.describe_topics(names)
        if all(
            topic["error_code"] == 0
            and topic["partitions"]
            and all(partition["leader"] >= 0 for partition in topic["partitions"])
            for topic in described
        ):
            return
        await sleep(_POLL_SECONDS)
    msg = f"some of the topics {', '.join(names)} have no leader"
    raise ServiceUnavailableError(msg)


async def _report_differences(admin: Any, kafka: KafkaSettings, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    partitions = {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics([kafka.topic(topic) for topic in topics])
    }
    found: dict[str, dict[str, str]] = {}
    resource: Any = ConfigResource
    resources = [
        resource(ConfigResourceType.TOPIC, kafka.topic(topic), configs=dict.fromkeys(topic_configs(topic)))
        for topic in topics
    ]
    for response in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in response.resources:
            if code and for_code(code) is _FORBIDDEN:  # only the operator may compare
                topics = [topic for topic in topics if kafka.topic(topic) != name]
                continue
            if code:
                raise for_code(code)(f"settings of topic {name} cannot be read: {message}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    for topic in topics:
        name = kafka.topic(topic)
        wanted = topic_configs(topic) | {"partitions": str(topic.partitions)}
        actual = found.get(name, {}) | {"partitions": str(partitions[name])}
        for key, value in wanted.items():
            if actual.get(key) != value:
                logger.warning("topic %s has %s=%s; the table says %s", name, key, actual.get(key), value)
