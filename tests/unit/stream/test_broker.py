import subprocess
import sys

import pytest

from schemas.settings import KafkaSettings
from stream.broker import MAX_REQUEST_BYTES, connection_arguments, make_broker, make_consumer, make_producer

SASL = {"security_protocol": "SASL_SSL", "sasl_username": "u", "sasl_password": "p"}


def test_plain_connections() -> None:
    arguments = connection_arguments(KafkaSettings(bootstrap_servers="a:1,b:2"))
    assert arguments == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT", "ssl_context": None}


def test_encrypted_connections_with_a_password() -> None:
    arguments = connection_arguments(KafkaSettings(**SASL))
    assert arguments["ssl_context"].check_hostname
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("u", "p")
    assert connection_arguments(KafkaSettings(**SASL | {"security_protocol": "SASL_PLAINTEXT"}))["ssl_context"] is None
    assert "sasl_mechanism" not in connection_arguments(KafkaSettings(security_protocol="SSL"))


@pytest.mark.parametrize("missing", ["sasl_username", "sasl_password"])
def test_a_password_belongs_to_a_user(missing: str) -> None:
    with pytest.raises(ValueError, match="sasl_username"):
        connection_arguments(KafkaSettings(**SASL | {missing: None}))


async def test_clients_can_be_built_for_every_protocol() -> None:
    for protocol in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        kafka = KafkaSettings(**SASL | {"security_protocol": protocol})
        producer = make_producer(kafka, transactional_id="t")
        consumer = make_consumer(kafka)
        assert not consumer._enable_auto_commit
        assert consumer._isolation_level == "read_committed"
        assert consumer._max_partition_fetch_bytes == MAX_REQUEST_BYTES
        make_broker(kafka)
        await consumer.stop()
        await producer.stop()


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, stream.broker, stream.codec, stream.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
