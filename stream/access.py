"""Why Kafka cannot be reached: a broker that is away is waited for, one that refuses us is not."""

import ssl
from typing import Any, Protocol

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from schemas.errors import AccessRefusedError
from schemas.settings import KafkaSettings
from stream.broker import connection_arguments


class Startable(Protocol):
    """Any of aiokafka's clients."""

    async def start(self) -> None:
        """Connect."""


async def start(client: Startable, kafka: KafkaSettings) -> None:
    """Start a client.

    aiokafka reports every failure to connect as the same error and leaves the
    cause to its log, so a second, single connection is made to learn it.

    Raises
    ------
    AccessRefusedError
        If the brokers refuse our user or are not those that our certificate
        authority vouches for; not worth another attempt.
    KafkaConnectionError
        If they do not answer.
    """
    try:
        await client.start()
    except KafkaConnectionError as error:
        refusal = await why_refused(kafka)
        if refusal is None:
            raise
        raise refusal from error


async def why_refused(kafka: KafkaSettings) -> AccessRefusedError | None:
    """Try each broker once and return why one refuses us; None where none does. Neither says a password."""
    arguments = connection_arguments(kafka)
    split: Any = collect_hosts  # published without type hints, like what connects
    connect: Any = create_conn
    for host, port, _ in split(arguments.pop("bootstrap_servers"), randomize=False):
        try:
            connection = await connect(host, port, **arguments)
        except SaslAuthenticationFailed:
            return AccessRefusedError(
                f"Kafka at {host}:{port} refuses the user {kafka.sasl_username!r}: unknown, or another password"
            )
        except UnsupportedSaslMechanismError as error:
            return AccessRefusedError(f"Kafka at {host}:{port} offers no SCRAM-SHA-512: {error}")
        except ssl.SSLCertVerificationError as error:
            return AccessRefusedError(f"the certificate of Kafka at {host}:{port} is refused: {error.verify_message}")
        except (OSError, KafkaError, TimeoutError):
            continue
        connection.close()
        return None
    return None
