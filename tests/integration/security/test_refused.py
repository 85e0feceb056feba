"""Who is not let in, and what is said about it."""

import logging

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.errors import AccessRefusedError
from stream.topics import ensure_topics
from tests.integration.security.secured import SecuredKafka

WRONG = "correct-horse-battery-staple"


async def refusal(kafka: SecuredKafka, **changes: object) -> str:
    settings = kafka.settings("inference", **changes)
    with pytest.raises(AccessRefusedError) as caught:
        await ensure_topics(settings)
    assert not caught.value.retriable, "another attempt would be refused as well"
    return str(caught.value)


async def test_a_wrong_password(kafka: SecuredKafka, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = await refusal(kafka, sasl_password=WRONG)
    assert "refuses the user 'inference'" in said
    assert WRONG not in said + caplog.text
    assert kafka.passwords["inference"] not in said + caplog.text
    assert "SaslAuthenticationFailed" in caplog.text, "the log was looked at"


async def test_an_unknown_user(kafka: SecuredKafka) -> None:
    assert "refuses the user 'nobody'" in await refusal(kafka, sasl_username="nobody")


async def test_a_broker_of_an_unknown_authority(kafka: SecuredKafka) -> None:
    assert "unable to get local issuer certificate" in await refusal(
        kafka, ca_file=str(kafka.certificates.other_ca_file)
    )


async def test_a_broker_that_the_system_does_not_know(kafka: SecuredKafka) -> None:
    assert "certificate of Kafka" in await refusal(kafka, ca_file=None)


async def test_a_certificate_for_another_name(kafka: SecuredKafka) -> None:
    servers = f"localhost:{kafka.broker.port}"
    assert "Hostname mismatch" in await refusal(kafka, bootstrap_servers=servers)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT", "SSL"])
async def test_other_protocols(kafka: SecuredKafka, protocol: str) -> None:
    """Without encryption, without a password, without both."""
    with pytest.raises(KafkaConnectionError):
        await ensure_topics(kafka.settings("inference", security_protocol=protocol))
