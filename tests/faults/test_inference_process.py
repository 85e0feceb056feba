"""Inference killed, stopped, stalled and doubled: every frame is judged once, a weld by one version, in one chain."""

import asyncio

import pytest

from tests.faults.conftest import early_and_later
from tests.faults.frames import FRAMES_SENT, FrameTrial
from tests.faults.services import killed, stop

CRASH_POINTS = ("fetched", "computed", "concluded", "sent", "offsets_sent", "committed")
QUICK = ("sent", "offsets_sent", "committed")
"""Where most can go wrong; each takes as long as the session of the dead."""


@pytest.mark.parametrize("where", early_and_later(CRASH_POINTS, 5, QUICK))
@pytest.mark.timeout(180)
async def test_killed_at(frames: FrameTrial, where: str) -> None:
    await frames.begin()
    async with frames.inference(where) as service:
        await killed(service)
    await frames.swap()
    async with frames.inference():
        await frames.all_judged()
    point, _, time = where.partition(":")
    method = f"SIGKILL when a batch is {point.replace('_', ' ')} for the {time}. time, a release, and a restart"
    await frames.conclude(f"inference killed: {point}, {time}", method)


@pytest.mark.thorough  # tests/integration/inference/test_process.py says much the same in less time
@pytest.mark.timeout(180)
async def test_stopped_in_order_again_and_again(frames: FrameTrial) -> None:
    await frames.begin()
    for stop_at in (20, 60, 100):
        async with frames.inference() as service:
            await frames.judged(stop_at)
            await stop(service)
    async with frames.inference():
        await frames.all_judged()
    await frames.conclude("inference stopped in order", "SIGTERM three times under load")


@pytest.mark.timeout(240)
async def test_a_stalled_process_wakes_up_as_a_zombie(frames: FrameTrial) -> None:
    await frames.begin()
    async with frames.inference() as zombie:
        await frames.judged(20)
        zombie.pause()
        async with frames.inference():
            await frames.all_judged()
            zombie.resume()
            await frames.stream(30, "weld-late", every_s=0)
            await frames.all_judged()
    method = "SIGSTOP until its session has timed out and another process has judged everything, then SIGCONT"
    await frames.conclude("inference stalled past its session", method)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_nodes_join_and_leave_under_load(frames: FrameTrial) -> None:
    await frames.begin(300)
    async with frames.inference() as first:
        await frames.judged(20)
        async with frames.inference() as second:
            await frames.judged(120)
            await frames.swap()
            await stop(first)
            async with frames.inference():
                await frames.judged(200)
                await asyncio.to_thread(second.kill)
                await frames.all_judged()
    method = "a second joins, the first stops in order, a third joins, the second is killed, with a release meanwhile"
    await frames.conclude("inference nodes join and leave", method)


@pytest.mark.timeout(180)
async def test_poison_in_the_middle_of_a_batch(frames: FrameTrial) -> None:
    await frames.begin(FRAMES_SENT)
    for number in range(1, 7):
        await frames.poison()
        await asyncio.sleep(0.02 * number)
    async with frames.inference():
        await frames.all_judged()
    await frames.conclude("poison frames", "six times among the frames comes one that is no image")
