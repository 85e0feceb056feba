"""The services as processes of their own, which fail a test that they outlive or that they end of themselves."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from stream.demo.services import metrics_text
from stream.local.ports import free_port
from stream.local.reaper import Reaper
from stream.local.service import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


class Services:
    """Starts services.

    Parameters
    ----------
    folder : Path
        Where their logs go.
    reaper : Reaper
        Stops them should the tests die.
    """

    def __init__(self, folder: Path, reaper: Reaper) -> None:
        self._folder = folder
        self._reaper = reaper
        self._started = 0

    def make(self, module: str, variables: Mapping[str, str]) -> ServiceProcess:
        """Return a service that is not started yet."""
        self._started += 1
        name = f"{module.partition('.')[0]}-{self._started}"
        log = self._folder / f"{name}.log"
        return ServiceProcess(
            name, module, port=free_port(), env=variables, log_file=log, cwd=ROOT, reaper=self._reaper
        )

    @asynccontextmanager
    async def running(self, module: str, variables: Mapping[str, str]) -> AsyncIterator[ServiceProcess]:
        """Run a service while the block runs; it is killed at the end, unless it has ended by then."""
        service = self.make(module, variables)
        service.start(wait=False)
        try:
            yield service
        except BaseException:
            print(f"{service.name}, status {service.returncode}: {service.log_tail(6000)}")  # noqa: T201 - shown by pytest
            raise
        finally:
            await asyncio.to_thread(service.kill)


async def ended(service: ServiceProcess) -> int:
    """Wait until a service ends of itself and return its status."""
    return await asyncio.to_thread(service.wait, PATIENCE_S)


async def killed(service: ServiceProcess) -> None:
    """Wait until a service has killed itself at its crash point."""
    status = await ended(service)
    assert status == -signal.SIGKILL, f"{service.name} ended with {status}: {service.log_tail()}"


async def stop(service: ServiceProcess) -> None:
    """Stop a service in order, and see that it stops; one that was just started learns first to hear signals."""
    await asyncio.to_thread(service.wait_alive, PATIENCE_S)
    await asyncio.to_thread(service.stop)
    assert service.returncode == 0, service.log_tail()


def gauge(service: ServiceProcess, name: str, **labels: str) -> float:
    """Return a metric as the service shows it now, added up over labels that are not given; 0 while it is silent."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics_text(service))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
