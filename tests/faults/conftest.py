"""Faults on the real broker; ``make test-faults`` writes what was found to benchmarks/results/faults.json."""

from collections.abc import AsyncIterator, Container, Generator, Iterable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from pydantic import SecretStr
from rich.console import Console

from benchmarks.figures import read_results, write_results
from inference.settings import InferenceSettings
from learner.settings import CheckpointSettings
from schemas.settings import KafkaSettings, RedisSettings
from stream.local.kafka import KafkaBroker
from stream.local.ports import free_port
from stream.local.reaper import Reaper
from stream.local.redis import RedisServer
from tests.faults.frames import FrameTrial
from tests.faults.labels import LabelTrial
from tests.faults.proxy import Proxy
from tests.faults.report import FaultReport
from tests.faults.services import Services
from tests.integration.inference.conftest import outside
from tests.integration.inference.conftest import settings as inference_settings
from tests.integration.inference.outside import Outside
from tests.integration.learner.outside import Outside as LabelsOutside
from tests.integration.learner.outside import tiny_settings

__all__ = ["inference_settings", "outside"]

REPORT = pytest.StashKey[FaultReport]()
NOTED = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a results file, as in ``make test``, leave out what only says the same at another time."""
    if config.getoption("--faults-results"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember what was noted before this test."""
    report = item.config.stash.setdefault(REPORT, FaultReport())
    item.stash[NOTED] = len(report.tried)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a fault a row also where its test failed before anything was counted."""
    outcome = yield
    report = item.config.stash[REPORT]
    if outcome.failed and all(one.survived for one in report.tried[item.stash[NOTED] :]):
        report.failed(item.name, f"{outcome.when} of {item.nodeid} failed")
    return outcome


def pytest_terminal_summary(config: pytest.Config) -> None:
    """Print a row for each fault, and write the figures where that was asked for."""
    results, report = config.getoption("--faults-results"), config.stash.get(REPORT, FaultReport())
    if not results or not report.figures:
        return
    report.print(Console())
    path, figures = Path(results), report.figures
    if config.getoption("keyword") and path.exists():
        # A part of the faults replaces its own figures only.
        names = {figure.figure for figure in figures}
        figures = [*(figure for figure in read_results(path) if figure.figure not in names), *figures]
    write_results(figures, path)


def early_and_later(places: Iterable[str], later: int, quick: Container[str] | None = None) -> list[ParameterSet | str]:
    """Return each place at its first time, and at a later one; thorough are the later ones and those not quick."""
    first = [
        f"{place}:1" if quick is None or place in quick else pytest.param(f"{place}:1", marks=pytest.mark.thorough)
        for place in places
    ]
    return [*first, *(pytest.param(f"{place}:{later}", marks=pytest.mark.thorough) for place in places)]


@pytest.fixture(scope="session")
def faults(request: pytest.FixtureRequest) -> FaultReport:
    return request.config.stash[REPORT]


@pytest.fixture
def server(redis_executable: Path, reaper: Reaper, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own, with an append-only file: a fault may end it."""
    server = RedisServer(tmp_path / "redis", executable=redis_executable, port=free_port(), reaper=reaper)
    server.prepare()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_settings(server: RedisServer) -> RedisSettings:
    return RedisSettings(url=SecretStr(server.url), key_prefix="test:")


@pytest.fixture
def services(tmp_path: Path, reaper: Reaper) -> Services:
    return Services(tmp_path / "logs", reaper)


@pytest.fixture
def settings(inference_settings: InferenceSettings) -> InferenceSettings:
    """Small batches, so that there is much to interrupt; no weld ends by a pause, so each must be one pass."""
    serving = inference_settings.serving.model_copy(update={"max_batch": 4, "weld_idle_seconds": 600.0})
    return inference_settings.model_copy(update={"serving": serving})


@pytest.fixture
async def frames(
    settings: InferenceSettings, outside: Outside, services: Services, faults: FaultReport
) -> AsyncIterator[FrameTrial]:
    trial = FrameTrial(settings, outside, services, faults)
    yield trial
    await trial.end()


@pytest.fixture
async def labels(
    kafka_settings: KafkaSettings,
    redis_settings: RedisSettings,
    tmp_path: Path,
    services: Services,
    faults: FaultReport,
) -> AsyncIterator[LabelTrial]:
    # A checkpoint after each step, by which one sees from outside what is settled.
    checkpoints = CheckpointSettings(folder=tmp_path / "learner", every_labels=1)
    # Its releases are another network's: inference beside it serves its own.
    kafka = kafka_settings.model_copy(update={"topic_prefix": f"{kafka_settings.topic_prefix}labels."})
    settings = tiny_settings(kafka, redis_settings, tmp_path / "labels", checkpoint=checkpoints)
    async with LabelsOutside(settings) as outside:
        yield LabelTrial(settings, outside, services, faults)


@pytest.fixture
async def network(kafka_broker: KafkaBroker) -> AsyncIterator[Proxy]:
    """What stands between the broker and those who come by its detour."""
    assert kafka_broker.detour is not None
    async with Proxy(kafka_broker.detour.advertised, kafka_broker.detour.port) as proxy:
        yield proxy


def by_way_of(kafka: KafkaSettings, proxy: Proxy) -> KafkaSettings:
    """Return settings that reach the broker through the proxy."""
    return kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{proxy.port}"})
