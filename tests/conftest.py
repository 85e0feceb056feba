"""Real Kafka and Redis for the tests that need them, started once and only where one asks."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from schemas.errors import PrerequisiteError
from schemas.settings import KafkaSettings, RedisSettings
from stream.local.jars import kafka_jars
from stream.local.kafka import Detour, KafkaBroker
from stream.local.ports import free_port
from stream.local.prerequisites import find_java, find_redis
from stream.local.reaper import Reaper
from stream.local.redis import RedisServer

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
MARKED_FOLDERS = {"integration", "e2e", "faults"}
# Says where fetched things are, nothing about how the product behaves.
KEPT_VARIABLES = {"WELDSTREAM_CACHE_DIR"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-results", help="Where tests/faults write what they found.")
    parser.addoption("--minutes", type=float, default=30.0, help="How long tests/faults/soak.py goes on.")
    parser.addoption("--seed", type=int, default=0, help="Of the faults that tests/faults/soak.py chooses.")


def pytest_configure() -> None:
    for name in [n for n in os.environ if n.startswith("WELDSTREAM_") and n not in KEPT_VARIABLES]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


def unavailable(reason: str) -> NoReturn:
    """Skip on a developer's machine; fail in CI, where nothing may be left out unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def hears_interrupts() -> Iterator[None]:
    """A shell starts background jobs deaf to SIGINT, and children inherit that: let ours hear it, as in a terminal."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def reaper() -> Iterator[Reaper]:
    with Reaper() as reaper:
        yield reaper


@pytest.fixture(scope="session")
def java_and_jars() -> tuple[Path, Path]:
    """What runs Kafka."""
    try:
        return find_java(), kafka_jars()
    except PrerequisiteError as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def redis_executable() -> Path:
    try:
        return find_redis()
    except PrerequisiteError as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def kafka_broker(
    java_and_jars: tuple[Path, Path], reaper: Reaper, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    """One broker for the whole session; tests keep apart by their topic prefix."""
    java, jars = java_and_jars
    ports: set[int] = set()
    while len(ports) < 4:
        ports.add(free_port(exclude=frozenset(ports)))
    port, controller_port, behind, before = ports
    broker = KafkaBroker(
        tmp_path_factory.mktemp("kafka"),
        java=java,
        jars=jars,
        port=port,
        controller_port=controller_port,
        reaper=reaper,
        detour=Detour(behind, advertised=before),
    )
    broker.prepare()
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_broker: KafkaBroker) -> str:
    return kafka_broker.bootstrap_servers


@pytest.fixture
def kafka_settings(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=f"test-{uuid.uuid4().hex[:12]}.")


@pytest.fixture(scope="session")
def redis_server(
    redis_executable: Path, reaper: Reaper, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """One Redis for the whole session; tests keep apart by their key prefix."""
    server = RedisServer(
        tmp_path_factory.mktemp("redis"), executable=redis_executable, port=free_port(), reaper=reaper, durable=False
    )
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url


@pytest.fixture
def redis_settings(redis_url: str) -> RedisSettings:
    return RedisSettings(url=redis_url, key_prefix=f"test-{uuid.uuid4().hex[:12]}:")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of measured data that lies beside the repository."""
    if not SHARED_DATA.is_dir():
        unavailable("../shared/data is not beside the repository")
    return SHARED_DATA
