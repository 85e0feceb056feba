"""The clocks of the services are set by an hour, back and forth, while they run."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.judgements import Judgement
from tests.faults.clock import Clock
from tests.faults.frames import FrameTrial
from tests.faults.labels import LabelTrial

HOUR = timedelta(hours=1)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def off(judgement: Judgement) -> int:
    """Return by how many hours the clock that a judgement was dated by was off."""
    return round((judgement.judged_at - datetime.now(UTC)) / HOUR)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_the_clock_of_inference_is_set(frames: FrameTrial, clock: Clock) -> None:
    await frames.begin()
    async with frames.inference(variables=clock.variables):
        for number, hours in enumerate((-1, 1)):
            await frames.judged(30)
            clock.set(hours * HOUR)
            # A library that looks at its file once a second needs frames until then.
            while hours not in {off(judgement) for judgement in frames.outside.judgements()}:
                await frames.stream(30, f"weld-{number}-{len(frames.outside.published)}")
        await frames.swap()
        await frames.all_judged()
        await frames.stream(30, "weld-last")
        await frames.all_judged()
    last = {j.model.version for j in frames.outside.judgements() if j.weld_id.startswith("weld-last")}
    assert last == {2}
    method = "an hour back, then two hours forward, under load, and a release after that"
    await frames.conclude("clock set: inference", method)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_the_clock_of_the_learner_is_set(labels: LabelTrial, clock: Clock) -> None:
    async with labels.learner(clock.variables) as learner:
        await labels.begin()
        for hours in (-1, 1, 0):
            clock.set(hours * HOUR)
            await labels.send(16, every_s=0.1)
            await labels.settled(learner)
        method = "an hour back, two forward, an hour back, while labels are learned"
        await labels.conclude("clock set: learner", method, learner)
    ages = [release.announced_at - datetime.now(UTC) for release in labels.outside.releases]
    assert min(ages) < -HOUR / 2
    assert max(ages) > HOUR / 2
