"""What the parts of ``make bench-load`` stand on."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load.books import Books
from benchmarks.load.processes import Pinning
from benchmarks.rig import Rig
from schemas import ModelVersion
from stream.local import ServiceProcess


@dataclass(frozen=True, slots=True)
class Bench:
    """A stack without inference, what was published to it, and how to say what goes on.

    Attributes
    ----------
    rig : Rig
        The stack.
    books : Books
        What is judged, read as it comes.
    versions : sequence of ModelVersion
        To be served.
    pinning : Pinning
        Cores.
    say : callable
        Told what begins.
    """

    rig: Rig
    books: Books
    versions: Sequence[ModelVersion]
    pinning: Pinning
    say: Callable[[str], None]

    @staticmethod
    def now() -> float:
        """Return seconds since 1970, as judgements and Kafka count them."""
        return time.time()

    async def start(self, name: str, variables: Mapping[str, str] | None = None) -> ServiceProcess:
        """Start an inference process and wait until it judges."""
        service = await asyncio.to_thread(
            self.rig.stack.start_service, name, "inference.app", variables or {}, wait="none"
        )
        await asyncio.to_thread(service.wait_ready)
        return service

    async def stop(self, service: ServiceProcess) -> None:
        """Stop a process in order."""
        await asyncio.to_thread(service.stop)
