"""Each user of Kafka can do what its role needs, and nothing else."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.structs import TopicPartition
from typer.testing import CliRunner

from schemas.settings import KafkaSettings
from schemas.topics import FRAMES, LABELS, MODEL_RELEASES, TOPICS, Topic
from stream.acl_admin import apply_rights, rights_of
from stream.acls import INFERENCE, LEARNER, ROLES, Operation, Pattern, Resource, Right, Role, rights
from stream.broker import make_client, make_consumer, make_producer, send_and_wait
from stream.cli import app
from stream.records import OutRecord
from stream.topics import ensure_topics
from tests.integration.security.conftest import deploy
from tests.integration.security.secured import ADMIN, SecuredKafka

PREFIX = "rights."


@pytest.fixture(scope="module", autouse=True)
def deployed(kafka: SecuredKafka) -> None:
    deploy(kafka, PREFIX)


async def may_write(kafka: SecuredKafka, role: Role, topic: Topic) -> bool:
    settings = kafka.settings(role.name, topic_prefix=PREFIX)
    producer = make_producer(settings)
    try:
        await producer.start()
        await send_and_wait(producer, OutRecord(settings.topic(topic), b"key", b"value"))
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):  # the latter for who writes nowhere
        return False
    finally:
        await producer.stop()
    return True


async def may_read(kafka: SecuredKafka, role: Role, topic: Topic) -> bool:
    settings = kafka.settings(role.name, topic_prefix=PREFIX)
    if not await may_see(settings, topic):  # a consumer would only wait until it can
        return False
    consumer: Any = make_consumer(settings)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(settings.topic(topic), 0)])
        await consumer.getmany(timeout_ms=2000)
    except TopicAuthorizationFailedError:
        return False
    finally:
        await consumer.stop()
    return True


async def may_see(settings: KafkaSettings, topic: Topic) -> bool:
    client: Any = make_client(settings)
    try:
        await client.bootstrap()
        await client._wait_on_metadata(settings.topic(topic))
    except TopicAuthorizationFailedError:
        return False
    finally:
        await client.close()
    return True


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
async def test_a_role_writes_to_its_own_topics_only(kafka: SecuredKafka, role: Role) -> None:
    assert {t.name for t in TOPICS if await may_write(kafka, role, t)} == {t.name for t in role.writes}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
async def test_a_role_reads_its_own_topics_only(kafka: SecuredKafka, role: Role) -> None:
    assert {t.name for t in TOPICS if await may_read(kafka, role, t)} == {t.name for t in role.reads}


async def test_acquisition_reads_no_labels_and_an_inspector_releases_nothing(kafka: SecuredKafka) -> None:
    """Said once more without the table, which the tests above believe."""
    roles = {role.name: role for role in ROLES}
    assert not await may_read(kafka, roles["acquisition"], LABELS)
    assert not await may_write(kafka, roles["acquisition"], MODEL_RELEASES)
    assert not await may_write(kafka, roles["inspector"], MODEL_RELEASES)
    assert await may_write(kafka, roles["acquisition"], FRAMES)
    assert await may_write(kafka, roles["inspector"], LABELS)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
async def test_nobody_takes_over_the_partitions_of_inference(kafka: SecuredKafka, role: Role) -> None:
    """A producer with a partition's transactional id would fence the one that answers it."""
    producer = make_producer(kafka.settings(role.name), transactional_id=f"{INFERENCE.group}.rights.frames.0")
    if role is INFERENCE:
        await producer.start()
    else:
        with pytest.raises(TransactionalIdAuthorizationFailed):
            await producer.start()
    await producer.stop()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
async def test_nobody_joins_the_group_of_inference(kafka: SecuredKafka, role: Role) -> None:
    """A member would be given frames that it does not answer, and could commit over what was not judged."""
    consumer: Any = make_consumer(kafka.settings(role.name, topic_prefix=PREFIX), group_id=INFERENCE.group)
    await consumer.start()
    partition = TopicPartition(f"{PREFIX}{FRAMES.name}", 0)
    consumer.assign([partition])
    try:
        if role is INFERENCE:
            await consumer.commit({partition: 0})
        else:
            with pytest.raises(GroupAuthorizationFailedError):
                await consumer.commit({partition: 0})
    finally:
        await consumer.stop()


async def test_only_the_operator_creates_topics(kafka: SecuredKafka) -> None:
    new = replace(FRAMES, name="new")
    with pytest.raises(TopicAuthorizationFailedError, match="weldstream topics create"):
        await ensure_topics(kafka.settings("learner", topic_prefix=PREFIX), [new])
    assert await ensure_topics(kafka.settings("operator", topic_prefix=PREFIX), [new]) == (f"{PREFIX}new",)
    with pytest.raises(TopicAuthorizationFailedError):
        await ensure_topics(kafka.settings("operator", topic_prefix="elsewhere."), [new])


async def test_a_service_finds_its_topics_without_the_right_to_compare_them(
    kafka: SecuredKafka, caplog: pytest.LogCaptureFixture
) -> None:
    assert await ensure_topics(kafka.settings("inference", topic_prefix=PREFIX), INFERENCE.topics) == ()
    assert not caplog.records


async def test_rights_are_granted_by_an_administrator_only(kafka: SecuredKafka) -> None:
    for role in ROLES:
        with pytest.raises(ClusterAuthorizationFailedError):
            await apply_rights(kafka.settings(role.name), role.name, ())


async def test_applying_takes_back_what_is_more_and_repeats_nothing(kafka: SecuredKafka) -> None:
    admin = kafka.settings(ADMIN, topic_prefix=PREFIX)
    wanted = set(rights(INFERENCE, admin))
    surplus = {
        Right(Resource.TOPIC, "*", Pattern.LITERAL, Operation.READ),
        Right(Resource.CLUSTER, "kafka-cluster", Pattern.LITERAL, Operation.ALTER),
        Right(Resource.GROUP, "someone", Pattern.PREFIXED, Operation.ALL, host="127.0.0.1"),
    }
    missing = next(iter(wanted))
    assert await apply_rights(admin, "stranger", (wanted | surplus) - {missing}) == (
        (wanted | surplus) - {missing},
        set(),
    )
    assert await apply_rights(admin, "stranger", wanted) == ({missing}, surplus)
    assert await apply_rights(admin, "stranger", wanted) == (set(), set())
    assert await rights_of(admin, "stranger") == wanted
    assert await apply_rights(admin, "stranger", ()) == (set(), wanted)
    assert await rights_of(admin, "inference") == wanted, "another user's rights are left alone"


def test_the_command_applies_what_it_shows(kafka: SecuredKafka) -> None:
    admin = kafka.settings(ADMIN, topic_prefix="command.")
    environment = {
        "WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS": admin.bootstrap_servers,
        "WELDSTREAM_KAFKA__TOPIC_PREFIX": admin.topic_prefix,
        "WELDSTREAM_KAFKA__SECURITY_PROTOCOL": admin.security_protocol,
        "WELDSTREAM_KAFKA__SASL_USERNAME": ADMIN,
        "WELDSTREAM_KAFKA__SASL_PASSWORD": kafka.passwords[ADMIN],
        "WELDSTREAM_KAFKA__CA_FILE": str(admin.ca_file),
    }
    command = ["learner", "--user", "learner=teacher", "--learner-group", "school"]
    shown = CliRunner().invoke(app, ["acls", "show", *command], env=environment)
    applied = CliRunner().invoke(app, ["acls", "apply", *command], env=environment)
    again = CliRunner().invoke(app, ["acls", "apply", *command], env=environment)
    assert (shown.exit_code, applied.exit_code) == (0, 0), applied.output
    found = asyncio.run(rights_of(admin, "teacher"))
    assert found == set(rights(replace(LEARNER, group="school"), admin))
    assert len(shown.output.splitlines()) == len(found)
    assert f"{len(found)} granted now" in applied.output
    assert "0 granted now, 0 taken back" in again.output
