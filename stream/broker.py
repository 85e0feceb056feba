"""The only place that builds Kafka clients, so that every one of them is configured alike."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLScram512

from schemas.errors import PrerequisiteError
from schemas.settings import KafkaSettings
from schemas.topics import MIB, Topic
from stream.clients import TransactionalProducer
from stream.records import OutRecord

MAX_REQUEST_BYTES = 16 * MIB
"""Above every topic's own limit, so that the topic table alone decides what is too large."""

SCRAM = "SCRAM-SHA-512"


def make_producer(
    kafka: KafkaSettings,
    *,
    client_id: str = "weldstream",
    linger_ms: int = 2,
    max_batch_bytes: int = 256 * 1024,
    transactional_id: str | None = None,
) -> AIOKafkaProducer:
    """Build an idempotent producer that waits for all replicas; call inside a running event loop.

    Parameters
    ----------
    kafka : KafkaSettings
        Where and how.
    client_id : str
        Name in the broker's logs.
    linger_ms : int
        How long a batch waits for company.
    max_batch_bytes : int
        Size at which a batch is sent without waiting.
    transactional_id : str or None
        Makes the producer transactional.
    """
    build: Any = AIOKafkaProducer  # published without type hints
    producer: AIOKafkaProducer = build(
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        compression_type=None if kafka.compression == "none" else kafka.compression,
        linger_ms=linger_ms,
        max_batch_size=max_batch_bytes,
        max_request_size=MAX_REQUEST_BYTES,
        transactional_id=transactional_id,
        **connection_arguments(kafka),
    )
    return producer


def make_consumer(
    kafka: KafkaSettings,
    topics: Sequence[Topic] = (),
    group_id: str | None = None,
    *,
    client_id: str = "weldstream",
    max_poll_records: int | None = None,
    fetch_max_wait_ms: int = 100,
    committed_only: bool = True,
    max_partition_fetch_bytes: int = MAX_REQUEST_BYTES,
) -> AIOKafkaConsumer:
    """Build a consumer that reads committed records from the earliest on and commits only when told to.

    Parameters
    ----------
    kafka : KafkaSettings
        Where and how.
    topics : sequence of Topic
        Subscribed at once. Leave it empty to ``assign`` partitions, or to
        ``subscribe`` with a rebalance listener.
    group_id : str or None
        None reads without a group.
    client_id : str
        Name in the broker's logs.
    max_poll_records : int or None
        Most records of one poll.
    fetch_max_wait_ms : int
        How long the broker holds a fetch that finds nothing.
    committed_only : bool
        False sees records of open and of aborted transactions too: only for where a topic ends.
    max_partition_fetch_bytes : int
        What a fetch takes of a partition, and what is held of it in memory; a
        record that is larger comes alone.
    """
    build: Any = AIOKafkaConsumer  # published without type hints
    consumer: AIOKafkaConsumer = build(
        *(kafka.topic(topic) for topic in topics),
        group_id=group_id,
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed_only else "read_uncommitted",
        max_poll_records=max_poll_records,
        fetch_max_wait_ms=fetch_max_wait_ms,
        fetch_max_bytes=4 * MAX_REQUEST_BYTES,
        max_partition_fetch_bytes=max_partition_fetch_bytes,
        **connection_arguments(kafka),
    )
    return consumer


def make_admin(kafka: KafkaSettings, *, client_id: str = "weldstream-admin") -> AIOKafkaAdminClient:
    """Build an admin client; ``await start()`` and ``await close()`` it."""
    return AIOKafkaAdminClient(client_id=client_id, **connection_arguments(kafka))


def make_client(kafka: KafkaSettings, *, client_id: str = "weldstream-admin") -> AIOKafkaClient:
    """Build a bare client for requests that the admin client does not know; ``bootstrap()`` and ``close()`` it."""
    build: Any = AIOKafkaClient  # published without type hints
    client: AIOKafkaClient = build(client_id=client_id, **connection_arguments(kafka))
    return client


def make_broker(kafka: KafkaSettings, *, client_id: str = "weldstream") -> KafkaBroker:
    """Build a FastStream broker for topics whose records are all our own announcements.

    Its subscribers must ask for ``isolation_level="read_committed"``: what
    inference publishes is part of transactions, and FastStream's default
    shows those too that were taken back.
    """
    return KafkaBroker(
        kafka.bootstrap_servers.split(","),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        compression_type=None if kafka.compression == "none" else kafka.compression,
        max_request_size=MAX_REQUEST_BYTES,
        allow_auto_create_topics=False,
        security=_security(kafka),
        logger=None,  # a line for each record would bury everything else
    )


async def send(producer: AIOKafkaProducer | TransactionalProducer, record: OutRecord) -> asyncio.Future[Any]:
    """Hand a record to the producer; the future returned is done when the brokers have it."""
    client: Any = producer
    delivery: asyncio.Future[Any] = await client.send(
        record.topic, value=record.value, key=record.key, partition=record.partition, headers=list(record.headers)
    )
    return delivery


async def send_and_wait(producer: AIOKafkaProducer, record: OutRecord) -> None:
    """Produce a record and return once the brokers have it."""
    await (await send(producer, record))


async def send_once(kafka: KafkaSettings, record: OutRecord, *, client_id: str) -> None:
    """Connect, produce one record, and disconnect: for commands, which have nothing else to send."""
    producer: Any = make_producer(kafka, client_id=client_id)
    await producer.start()
    try:
        await send_and_wait(producer, record)
    finally:
        await producer.stop()


def connection_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the arguments that every aiokafka client shares.

    Raises
    ------
    PrerequisiteError
        If the file of the certificate authority cannot be read.
    ValueError
        If the protocol needs a user and there is none.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.split(","),
        "security_protocol": kafka.security_protocol,
        "ssl_context": _ssl_context(kafka),
    }
    if kafka.security_protocol.startswith("SASL"):
        username, password = _credentials(kafka)
        arguments |= {"sasl_mechanism": SCRAM, "sasl_plain_username": username, "sasl_plain_password": password}
    return arguments


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """Return what verifies the brokers, their host names included; None where nothing is encrypted."""
    if not kafka.security_protocol.endswith("SSL"):
        return None
    try:
        return ssl.create_default_context(cafile=kafka.ca_file)
    except (OSError, ssl.SSLError) as error:  # which does not name the file
        raise PrerequisiteError(f"kafka.ca_file {kafka.ca_file} cannot be used: {error}") from error


def _credentials(kafka: KafkaSettings) -> tuple[str, str]:
    if kafka.sasl_username is None or kafka.sasl_password is None:
        msg = f"{kafka.security_protocol} needs both sasl_username and sasl_password"
        raise ValueError(msg)
    return kafka.sasl_username, kafka.sasl_password.get_secret_value()


def _security(kafka: KafkaSettings) -> BaseSecurity | None:
    context = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        username, password = _credentials(kafka)
        return SASLScram512(username, password, ssl_context=context, use_ssl=context is not None)
    return None if context is None else BaseSecurity(ssl_context=context, use_ssl=True)
