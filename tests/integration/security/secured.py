"""A Kafka and a Redis that let nobody in unasked: TLS, passwords, and rights for each user."""

import secrets
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

from memory.stores.rights import redis_rule
from schemas.settings import KafkaSettings, RedisSettings
from stream.acls import ROLES
from stream.local.kafka import KafkaBroker
from stream.local.ports import LOOPBACK, free_port
from stream.local.reaper import Reaper
from stream.local.redis import RedisServer

ADMIN, BROKER = "admin", "broker"
KEY_PREFIX = "weldstream:"
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "secured.md"


def documented(block: str, separator: str, here: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that docs/secured.md shows, with what is different here; all of that must occur."""
    text = DOCUMENT.read_text("utf-8").partition(f"<!-- {block}:begin -->")[2].partition(f"<!-- {block}:end -->")[0]
    for shown, real in here.items():
        assert shown in text, shown
        text = text.replace(shown, real)
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "```"))]
    return dict(line.split(separator, 1) for line in lines)


class Certificates:
    """An authority that exists for one test session, and one server certificate, for 127.0.0.1 and no other name."""

    def __init__(self, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        server = authority.issue_cert(LOOPBACK, common_name=BROKER)
        self.ca_file = folder / "ca.pem"
        self.other_ca_file = folder / "other-ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.both = folder / "server-and-key.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        stranger.cert_pem.write_to_path(self.other_ca_file)
        chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
        # Kafka reads PKCS #8 only.
        key = serialization.load_pem_private_key(server.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.certificate.write_bytes(chain)
        self.key.write_bytes(key)
        self.both.write_bytes(key + chain)


@dataclass(frozen=True)
class SecuredKafka:
    """A broker with one listener, SASL_SSL, and the settings with which each user comes."""

    broker: KafkaBroker
    certificates: Certificates
    passwords: dict[str, str]

    def settings(self, user: str, **changes: Any) -> KafkaSettings:
        values = {
            "bootstrap_servers": self.broker.bootstrap_servers,
            "security_protocol": "SASL_SSL",
            "sasl_username": user,
            "sasl_password": self.passwords.get(user, "none"),
            "ca_file": str(self.certificates.ca_file),
        }
        return KafkaSettings(**values | changes)


@dataclass(frozen=True)
class SecuredRedis:
    """A Redis without a plain port, whose default user is off."""

    server: RedisServer
    certificates: Certificates
    passwords: dict[str, str]

    def settings(self, user: str, **changes: Any) -> RedisSettings:
        values = {
            "url": f"rediss://{LOOPBACK}:{self.server.port}/0",
            "username": user,
            "password": self.passwords[user],
            "ca_file": str(self.certificates.ca_file),
            "key_prefix": KEY_PREFIX,
        }
        return RedisSettings(**values | changes)


def secured_kafka(folder: Path, certificates: Certificates, *, java: Path, jars: Path, reaper: Reaper) -> SecuredKafka:
    port = free_port()
    controller_port = free_port(exclude=frozenset({port}))
    passwords = {name: secrets.token_urlsafe(18) for name in (ADMIN, BROKER, *(role.name for role in ROLES))}
    properties = documented(
        "kafka",
        "=",
        {
            "kafka.example:9093": f"{LOOPBACK}:{port}",
            "kafka.example:9094": f"{LOOPBACK}:{controller_port}",
            "BROKER-PASSWORD": passwords[BROKER],
            "/etc/kafka/server.pem": str(certificates.both),
            "/etc/kafka/ca.pem": str(certificates.ca_file),
        },
    )
    broker = KafkaBroker(
        folder,
        java=java,
        jars=jars,
        port=port,
        controller_port=controller_port,
        reaper=reaper,
        properties=properties,
        users=passwords,
    )
    return SecuredKafka(broker, certificates, passwords)


def secured_redis(folder: Path, certificates: Certificates, *, executable: Path, reaper: Reaper) -> SecuredRedis:
    port = free_port()
    passwords = {name: secrets.token_urlsafe(18) for name in (ADMIN, "learner")}
    acl = folder / "users.acl"
    acl.write_text(
        "user default off\n"
        f"user {ADMIN} on >{passwords[ADMIN]} ~* &* +@all\n"
        f"{redis_rule('learner', KEY_PREFIX)} >{passwords['learner']}\n"
    )
    options = documented(
        "redis",
        " ",
        {
            "6379": str(port),
            "/etc/redis/server.pem": str(certificates.certificate),
            "/etc/redis/server.key": str(certificates.key),
            "/etc/redis/ca.pem": str(certificates.ca_file),
            "/etc/redis/users.acl": str(acl),
        },
    )
    server = RedisServer(
        folder,
        executable=executable,
        port=port,
        reaper=reaper,
        durable=False,
        options=options,
        ready=lambda: _answers(port, certificates, passwords[ADMIN]),
    )
    return SecuredRedis(server, certificates, passwords)


def _answers(port: int, certificates: Certificates, password: str) -> bool:
    context = ssl.create_default_context(cafile=certificates.ca_file)
    try:
        with (
            socket.create_connection((LOOPBACK, port), timeout=0.5) as plain,
            context.wrap_socket(plain, server_hostname=LOOPBACK) as connection,
        ):
            connection.sendall(f"AUTH {ADMIN} {password}\r\nPING\r\n".encode())
            return connection.recv(64).startswith(b"+OK")
    except OSError:
        return False
