"""What all faults on frames have in common: how each begins, and what must hold when it is over."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType

from inference.settings import InferenceSettings
from memory.registry import ModelRegistry
from schemas.topics import DEAD_LETTERS, FRAMES, JUDGEMENTS
from stream.ledger import read_marks
from stream.local.service import ServiceProcess
from stream.records import OutRecord
from tests.faults.report import FaultReport
from tests.faults.services import Services
from tests.integration.inference.outside import Outside
from tests.integration.inference.test_process import environment

FRAMES_SENT = 150
FIRST, SECOND = 1, 2
"""The class that the first model finds, and the second."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class FrameTrial:
    """Frames stream, services judge them, a fault strikes, and then everything is counted.

    Attributes
    ----------
    settings : InferenceSettings
        Of the services; they may reach the broker another way than `outside` does.
    outside : Outside
        Sends frames and reads judgements, and is never broken itself.
    services : Services
        Starts processes.
    report : FaultReport
        Is told what came of it.
    sending : asyncio.Task or None
        The frames that `begin` sends.
    poisoned, refused : int
        Frames that are no image, and releases that cannot be served: each has a dead letter.
    versions, announced : int
        The newest version, and how often one was announced.
    """

    settings: InferenceSettings
    outside: Outside
    services: Services
    report: FaultReport
    sending: asyncio.Task[None] | None = None
    poisoned: int = 0
    refused: int = 0
    versions: int = 1
    announced: int = 1

    async def begin(self, count: int = FRAMES_SENT) -> None:
        """Let a first model serve, and frames stream: three welds at a time, ten frames of each."""
        await self.outside.register(1, defect=FIRST)
        self.sending = asyncio.create_task(self.stream(count))

    async def end(self) -> None:
        """Send no more frames, where a test failed before all were sent."""
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)

    async def stream(self, count: int, prefix: str = "weld", every_s: float = 0.01) -> None:
        """Publish frames."""
        for number in range(count):
            await self.outside.publish(number, f"{prefix}-{number // 30}-{number % 3}")
            await asyncio.sleep(every_s)

    async def poison(self) -> None:
        """Publish a frame that is no image, in the middle of a weld."""
        await self.outside.send(OutRecord(self.outside.kafka.topic(FRAMES), b"weld-0-0", b"no image", ()))
        self.poisoned += 1

    def inference(
        self, crash_at: str = "", variables: Mapping[str, str] = NOTHING
    ) -> AbstractAsyncContextManager[ServiceProcess]:
        """Run an inference service, which is killed at the end of the block."""
        own = environment(self.settings) | {"WELDSTREAM_CRASH_AT": crash_at} | dict(variables)
        return self.services.running("inference.app", own)

    async def swap(self) -> None:
        """Release another model: welds in progress must go on with the one that they began with."""
        self.versions, self.announced = self.versions + 1, self.announced + 1
        defect = FIRST if self.versions % 2 else SECOND
        await self.outside.register(self.versions, defect=defect, sequence=self.announced)

    async def roll_back(self) -> None:
        """Announce the version before the newest."""
        registry = ModelRegistry(
            self.settings.registry.uri, self.settings.registry.model_name, signer=self.outside.signer
        )
        self.announced += 1
        await self.outside.announce(registry.get(max(1, self.versions - 1)), self.announced)

    async def judged(self, count: int) -> None:
        """Wait until so many frames are judged."""
        await self.outside.until(JUDGEMENTS, count)

    async def all_judged(self) -> None:
        """Wait until all frames are sent and judged."""
        if self.sending is not None:
            await self.sending
        await self.judged(len(self.outside.published))
        await self.outside.until(DEAD_LETTERS, self.poisoned + self.refused)

    async def conclude(self, fault: str, method: str) -> None:
        """Read everything, count it, and write it down; fails unless every promise was kept."""
        await self.outside.read_all()
        # All is over: what states and ends say is neither less nor more than what was judged.
        least = await read_marks(self.outside.kafka, at_least=True)
        most = await read_marks(self.outside.kafka, at_least=False)
        marks = {key: [*least.get(key, ()), *most.get(key, ())] for key in least.keys() | most.keys()}
        self.report.frames(fault, method, self.outside.published, self.outside.entries(), self.poisoned, marks=marks)
        assert len(self.outside.dead_letters()) == self.poisoned + self.refused
