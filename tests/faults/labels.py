"""What all faults on labels have in common: how each begins, and what must hold when it is over."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from learner.settings import LearnerSettings
from learner.stores import open_memories
from stream.local.service import ServiceProcess
from tests.faults.frames import NOTHING
from tests.faults.report import FaultReport
from tests.faults.services import Services, stop
from tests.integration.learner.outside import Outside, make_label
from tests.integration.learner.test_crash import checkpoint, environment

FIRST = 4
POLL_S = 0.3
PATIENCE_S = 90.0


@dataclass(slots=True)
class LabelTrial:
    """Labels stream, a learner learns them, a fault strikes, and then everything is counted.

    Attributes
    ----------
    settings : LearnerSettings
        Of the learner; it may reach broker and Redis another way than `outside` does.
    outside : Outside
        Sends labels and reads releases and dead letters, and is never broken itself.
    services : Services
        Starts processes.
    report : FaultReport
        Is told what came of it.
    sent : list of str
        Ids of the labels sent.
    letters, restarts : int
        Labels sent that nobody can read; how often the learner ended and was started again.
    in_version : int
        Labels whose ids the memory knows and no checkpoint, because a version was gone on from that has learned them.
    """

    settings: LearnerSettings
    outside: Outside
    services: Services
    report: FaultReport
    sent: list[str] = field(default_factory=list)
    letters: int = 0
    restarts: int = 0
    in_version: int = 0

    def learner(self, variables: Mapping[str, str] = NOTHING) -> AbstractAsyncContextManager[ServiceProcess]:
        """Run a learner, which is killed at the end of the block."""
        return self.services.running("learner.app", environment(self.settings) | dict(variables))

    async def begin(self) -> None:
        """Send the labels of the first model, and wait until it is announced."""
        await self.send(FIRST)
        await self.outside.until(lambda: bool(self.outside.releases))

    async def send(self, count: int, every_s: float = 0.0) -> None:
        """Send labels."""
        for _ in range(count):
            label = make_label(len(self.sent))
            await self.outside.send([label])
            self.sent.append(label.label_id)
            await asyncio.sleep(every_s)

    async def poison(self) -> None:
        """Send a label that nobody can read."""
        good = self.outside.record(make_label(0))
        await self.outside.send_record(replace(good, value=b"no label"))
        self.letters += 1

    def position(self) -> Any:
        """Return what the learner has written down, None before its first checkpoint."""
        return checkpoint(self.settings)

    async def settled(self, learner: ServiceProcess, count: int | None = None, *, supervised: bool = False) -> None:
        """Wait until the learner has written down that it is done with so many records, by default all.

        One that ends meanwhile is started again where it is supervised, and fails the test where it is not.
        """
        wanted = len(self.sent) + self.letters if count is None else count
        async with asyncio.timeout(PATIENCE_S):
            while (found := await asyncio.to_thread(self.position)) is None or settled_by(found) < wanted:
                if supervised and not learner.is_running:
                    self.restarts += 1
                    learner.start(wait=False)
                assert learner.is_running, f"the learner ended with {learner.returncode}: {learner.log_tail()}"
                await asyncio.sleep(POLL_S)

    async def conclude(self, fault: str, method: str, learner: ServiceProcess) -> None:
        """Stop the learner in order, count everything, and write it down; fails unless every promise was kept."""
        await stop(learner)
        found = self.position()
        released = {release.version.model.version for release in self.outside.releases}
        serving = self.outside.registry.serving()
        wrong = {
            "records not settled": len(self.sent) + self.letters - settled_by(found),
            "labels missing from the weights, or there twice": len(self.sent) - found.extra["in_model"],
            "labels unknown to the checkpoint": len(set(self.sent) - set(found.extra["known"])) - self.in_version,
            "labels missing from the memory, or there twice": len(self.sent) - await self._remembered(),
            "dead letters": len(self.outside.letters) - self.letters,
            "releases not announced": int(serving is None or serving.version.model.version not in released),
        }
        sent = f"{len(self.sent) + self.letters} labels sent, {len(self.sent)} learned, {self.letters} dead letters"
        if self.restarts:
            sent += f"; times that the learner ended and was started again: {self.restarts}"
        self.report.labels(fault, f"{method}; {sent}", wrong, len(self.sent) + self.letters)

    async def _remembered(self) -> int:
        async with AsyncExitStack() as resources:
            memories = await open_memories(self.settings, resources, np.random.default_rng(0))
            return sum(domain.seen for domain in (await memories.episodic.stats()).domains.values())


def settled_by(found: Any) -> int:
    """Return how many records a checkpoint says are done with, from the first on without a gap."""
    return sum(found.position.offsets.values())
