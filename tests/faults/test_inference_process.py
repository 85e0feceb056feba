"""Inference killed, stopped, stalled and doubled: every frame is judged once, a weld by one version, in one chain."""

import asyncio
import signal

import pytest

from inference.settings import InferenceSettings
from schemas.topics import DEAD_LETTERS, FRAMES, JUDGEMENTS
from stream.records import OutRecord
from tests.faults.conftest import early_and_later
from tests.faults.load import FRAMES_SENT, acquire, started
from tests.faults.report import FaultReport
from tests.integration.inference.outside import Outside

CRASH_POINTS = ("fetched", "computed", "concluded", "sent", "offsets_sent", "committed")


@pytest.fixture
def settings(settings: InferenceSettings) -> InferenceSettings:
    """Small batches, so that there is much to interrupt, and a session that is missed soon."""
    return settings.model_copy(update={"serving": settings.serving.model_copy(update={"max_batch": 4})})


@pytest.mark.parametrize("where", early_and_later(CRASH_POINTS, 5))
@pytest.mark.timeout(180)
async def test_killed_at(settings: InferenceSettings, outside: Outside, faults: FaultReport, where: str) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside))
    async with started(settings, where) as process, asyncio.timeout(60):
        assert await process.wait() == -signal.SIGKILL
    # Welds in progress must go on with the version that they began with, though another serves by now.
    await outside.register(2, defect=1 + 2)
    await acquisition
    async with started(settings):
        await outside.until(JUDGEMENTS, FRAMES_SENT)
    await outside.read_all()
    point, _, time = where.partition(":")
    method = f"SIGKILL when a batch is {point.replace('_', ' ')} for the {time}. time, a release, and a restart"
    faults.frames(f"inference killed: {point}, {time}", method, outside.published, outside.entries())


@pytest.mark.timeout(180)
async def test_stopped_in_order_again_and_again(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside))
    for stop_at in (20, 60, 100):
        async with started(settings) as process:
            await outside.until(JUDGEMENTS, stop_at)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                assert await process.wait() == 0
    await acquisition
    async with started(settings):
        await outside.until(JUDGEMENTS, FRAMES_SENT)
    await outside.read_all()
    faults.frames("inference stopped in order", "SIGTERM three times under load", outside.published, outside.entries())


@pytest.mark.timeout(240)
async def test_a_stalled_process_wakes_up_as_a_zombie(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside))
    async with started(settings) as zombie:
        await outside.until(JUDGEMENTS, 20)
        zombie.send_signal(signal.SIGSTOP)
        async with started(settings):
            await acquisition
            await outside.until(JUDGEMENTS, FRAMES_SENT)
            zombie.send_signal(signal.SIGCONT)
            for number in range(FRAMES_SENT, FRAMES_SENT + 30):
                await outside.publish(number, f"weld-late-{number % 3}")
            await outside.until(JUDGEMENTS, FRAMES_SENT + 30)
    await outside.read_all()
    method = "SIGSTOP until its session has timed out and another process has judged everything, then SIGCONT"
    faults.frames("inference stalled past its session", method, outside.published, outside.entries())


@pytest.mark.timeout(240)
async def test_nodes_join_and_leave_under_load(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside, 300))
    async with started(settings) as first:
        await outside.until(JUDGEMENTS, 20)
        async with started(settings) as second:
            await outside.until(JUDGEMENTS, 120)
            await outside.register(2, defect=1 + 2)
            first.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                assert await first.wait() == 0
            async with started(settings):
                await outside.until(JUDGEMENTS, 200)
                second.kill()
                await acquisition
                await outside.until(JUDGEMENTS, 300)
    await outside.read_all()
    method = "a second joins, the first stops in order, a third joins, the second is killed, with a release meanwhile"
    faults.frames("inference nodes join and leave", method, outside.published, outside.entries())


@pytest.mark.timeout(180)
async def test_poison_in_the_middle_of_a_batch(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    poison = OutRecord(outside.kafka.topic(FRAMES), b"weld-0-0", b"no image", ())
    for number in range(60):
        await outside.publish(number, f"weld-{number // 30}-{number % 3}")
        if number % 10 == 5:
            await outside.send(poison)
    async with started(settings):
        await outside.until(JUDGEMENTS, 60)
        await outside.until(DEAD_LETTERS, 6)
    await outside.read_all()
    assert len(outside.dead_letters()) == 6
    faults.frames("poison frames", "every tenth frame is no image", outside.published, outside.entries(), letters=6)
