"""The table of roles; that Kafka keeps to it is shown in tests/integration/security."""

import pytest
from typer.testing import CliRunner

from inference.recall_settings import RecallerSettings
from inference.settings import InferenceSettings
from learner.settings import LearnerSettings
from schemas.settings import KafkaSettings
from schemas.topics import DRIFT_ALARMS, FRAMES, JUDGEMENTS, TOPICS
from stream.acls import (
    INFERENCE,
    LEARNER,
    RECALLER,
    ROLES,
    Operation,
    Pattern,
    Resource,
    Right,
    Role,
    inference_role,
    kafka_acls_line,
    rights,
    topics_to_ensure,
)
from stream.cli import app

KAFKA = KafkaSettings(topic_prefix="p.")


def test_groups_are_the_defaults_of_the_services() -> None:
    assert InferenceSettings().serving.group_id == INFERENCE.group
    assert LearnerSettings().intake.group_id == LEARNER.group
    assert RecallerSettings().recall.group_id == RECALLER.group


def test_every_topic_is_written_by_somebody() -> None:
    """A new topic must be added to the roles of stream/acls.py that read and write it."""
    nobody = {DRIFT_ALARMS.name}  # announced by what watches a stream from outside
    assert {topic.name for topic in TOPICS} - {topic.name for role in ROLES for topic in role.writes} == nobody


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_role_may_do_everything(role: Role) -> None:
    granted = rights(role, KAFKA)
    assert len(set(granted)) == len(granted)
    allowed = {Operation.READ, Operation.WRITE} | (
        {Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS} if role.creates else set()
    )
    assert {right.operation for right in granted} <= allowed
    assert all(right.name not in ("", "*") for right in granted)
    assert Resource.CLUSTER not in {right.resource for right in granted}


def test_transactional_ids_begin_with_the_group() -> None:
    granted = rights(inference_role(group="g"), KAFKA)
    assert Right(Resource.TRANSACTIONAL_ID, "g.", Pattern.PREFIXED, Operation.WRITE) in granted
    assert Right(Resource.GROUP, "g", Pattern.LITERAL, Operation.READ) in granted


def test_a_shadow_writes_nothing_of_the_champions_and_tells_nobody() -> None:
    shadow = inference_role(group="g-shadow", suffix="-shadow")
    names = {right.name for right in rights(shadow, KAFKA) if right.operation is Operation.WRITE}
    assert names == {
        "p.judgements-shadow",
        "p.weld-states-shadow",
        "p.weld-passes-shadow",
        "p.dead-letters",
        "g-shadow.",
    }
    assert not any(name.startswith("g.") for name in names), "the champion's partitions cannot be taken over"


def test_a_user_looks_for_its_own_topics_and_others_create_all() -> None:
    assert set(topics_to_ensure(LEARNER, KAFKA)) == set(TOPICS)
    user = KafkaSettings(sasl_username="learner", sasl_password="secret")
    assert topics_to_ensure(LEARNER, user) == LEARNER.topics
    shadow = inference_role(group="g", suffix="-s")
    assert {topic.name for topic in topics_to_ensure(shadow, KAFKA)} == {
        *(topic.name for topic in TOPICS),
        "judgements-s",
        "weld-states-s",
        "weld-passes-s",
    }


def test_lines_are_what_kafka_acls_takes() -> None:
    right = Right(Resource.TRANSACTIONAL_ID, "g.", Pattern.PREFIXED, Operation.WRITE)
    assert kafka_acls_line("inference", right) == (
        "--add --allow-principal User:inference --operation Write --transactional-id g. "
        "--resource-pattern-type prefixed"
    )
    right = Right(Resource.TOPIC, "p.", Pattern.PREFIXED, Operation.DESCRIBE_CONFIGS)
    assert "--operation DescribeConfigs --topic p." in kafka_acls_line("operator", right)


@pytest.mark.parametrize(
    "arguments",
    [["nobody"], ["--user", "learner"], ["--user", "nobody=x"], ["--user", "learner="], ["--user", "learner=operator"]],
)
def test_the_command_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["acls", "show", *arguments]).exit_code == 2


def test_the_command_shows_every_right() -> None:
    shown = CliRunner().invoke(app, ["acls", "show", "--shadow", "-shadow"])
    assert shown.exit_code == 0
    expected = sum(len(rights(role, KAFKA)) for role in (*ROLES, inference_role(group="g", suffix="-shadow")))
    assert len(shown.output.splitlines()) == expected
    assert f"weldstream.{FRAMES.name}" in shown.output
    assert f"weldstream.{JUDGEMENTS.name}-shadow" in shown.output
