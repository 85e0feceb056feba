"""The learner killed wherever it can be: each label is learned once, and no release is lost or made twice."""

import asyncio

import pytest

from tests.faults.conftest import early_and_later
from tests.faults.labels import FIRST, LabelTrial
from tests.faults.services import ended, killed

LABELS = 36
CRASH_POINTS = ("admitted", "learned", "recorded", "announced", "checkpointed")


@pytest.mark.parametrize("where", early_and_later(CRASH_POINTS, 3))
@pytest.mark.timeout(240)
async def test_killed_at(labels: LabelTrial, where: str) -> None:
    # Not a checkpoint after each step: there is something that was learned and not yet written down.
    variables = {"WELDSTREAM_CRASH_AT": where, "WELDSTREAM_CHECKPOINT__EVERY_LABELS": "8"}
    async with labels.learner(variables) as learner:
        await labels.send(FIRST)
        ending = asyncio.create_task(ended(learner))
        released = asyncio.create_task(labels.outside.until(lambda: bool(labels.outside.releases)))
        # The others come once the first model is there, or when nobody is left to make it.
        await asyncio.wait({ending, released}, return_when=asyncio.FIRST_COMPLETED)
        released.cancel()
        await labels.send(LABELS - FIRST)
        await ending
        await killed(learner)
    if where in {"recorded:1", "announced:1"}:
        # No checkpoint has the first model yet: the version that it became is gone on from.
        labels.in_version = FIRST
    async with labels.learner() as learner:
        await labels.settled(learner)
        await labels.outside.until(lambda: bool(labels.outside.releases))
        point, _, time = where.partition(":")
        method = f"SIGKILL when something is {point} for the {time}. time, and a restart"
        await labels.conclude(f"learner killed: {point}, {time}", method, learner)
