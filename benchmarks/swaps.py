"""Swaps: what they cost the frames that stream meanwhile, and what they leave in memory."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from benchmarks.figures import Figure, measured
from benchmarks.rig import Rig, frames
from schemas import Judgement, ModelVersion

LOAD = 12.0
"""Frames/s while swapping: under half of what a core judges, so that waiting is not what is measured."""
WARM_UP_SECONDS = 5.0
SWAPS_UNDER_LOAD = 100
"""At one each two seconds, about 1200 judgements on either side: a dozen of them lie beyond the p99."""
SECONDS_BETWEEN_SWAPS = 2.0
SWAP_WINDOW_SECONDS = 1.0
WELD_FRAMES = 3
"""Frames of a weld: a new version judges the welds that begin after it, here one each quarter of a second."""
WELD_IDLE_SECONDS = 1.0
"""After which the service takes a weld for ended, and may forget the version that judged it."""
SWAPS_FOR_MEMORY = 100


async def swaps_under_load(rig: Rig, versions: Sequence[ModelVersion]) -> list[Figure]:
    """Swap while frames stream and compare the latency around swaps with the time between."""
    seconds = WARM_UP_SECONDS + SWAPS_UNDER_LOAD * SECONDS_BETWEEN_SWAPS
    scans = list(frames(int(seconds * LOAD), "swaps", WELD_FRAMES))
    first = len(rig.answers.judgements)
    sending = asyncio.create_task(rig.publish(scans, rate=LOAD))
    await rig.answers.until(first + int(WARM_UP_SECONDS * LOAD))
    loop = asyncio.get_running_loop()
    began = loop.time()
    announced: list[tuple[int, datetime]] = []
    for number in range(SWAPS_UNDER_LOAD):
        await asyncio.sleep(max(0.0, began + number * SECONDS_BETWEEN_SWAPS - loop.time()))
        target = versions[(number + 1) % len(versions)].model.version
        announced.append((target, (await rig.release(target)).announced_at))
    await sending
    await rig.answers.until(first + len(scans))
    judgements = rig.answers.judgements[first:]
    ids = [j.frame_id for j in judgements]
    timed = [j for j in judgements if j.judged_at >= announced[0][1]]
    steady, during = _by_window(timed, [at for _, at in announced])
    waits = [_wait(timed, target, at) for target, at in announced]
    ratio = float(np.percentile(during, 99) / np.percentile(steady, 99))
    method = (
        f"{SWAPS_UNDER_LOAD} swaps, one each {SECONDS_BETWEEN_SWAPS:g} s, at {LOAD:g} frames/s on the real broker, "
        f"a weld each {WELD_FRAMES} frames"
    )
    latency = (
        f"{method}; {len(during)} judgements within {SWAP_WINDOW_SECONDS:g} s of an announcement, {len(steady)} others"
    )
    first_judged = f"{method}; a swap before whose successor no frame was judged by it counts as {_NEVER:g} s"
    return [
        measured("swaps under load", sum(wait < _NEVER for wait in waits), "swaps", method, at_least=20),
        measured("frames lost over swaps", len(scans) - len(set(ids)), "frames", method, at_most=0),
        measured("frames judged twice over swaps", len(ids) - len(set(ids)), "frames", method, at_most=0),
        measured("p99 latency around swaps over steady", ratio, "", latency, at_most=1.25),
        measured("p50 latency, steady", 1000 * float(np.percentile(steady, 50)), "ms", latency),
        measured("p99 latency, steady", 1000 * float(np.percentile(steady, 99)), "ms", latency),
        measured("p50 latency around swaps", 1000 * float(np.percentile(during, 50)), "ms", latency),
        measured("p99 latency around swaps", 1000 * float(np.percentile(during, 99)), "ms", latency),
        measured("announcement to first judgement, worst", max(waits), "s", first_judged, at_most=1.0),
        measured("announcement to first judgement, median", float(np.median(waits)), "s", first_judged),
    ]


_NEVER = 3600.0


def _by_window(judgements: Sequence[Judgement], announced: Sequence[datetime]) -> tuple[list[float], list[float]]:
    """Return the latencies between swaps, and those shortly after an announcement."""
    window = timedelta(seconds=SWAP_WINDOW_SECONDS)
    steady: list[float] = []
    during: list[float] = []
    for judgement in judgements:
        swapping = any(at <= judgement.judged_at <= at + window for at in announced)
        (during if swapping else steady).append(judgement.latency_seconds)
    return steady, during


def _wait(judgements: Sequence[Judgement], version: int, announced_at: datetime) -> float:
    """Return the seconds from an announcement to the first judgement of its version before the next comes."""
    until = announced_at + timedelta(seconds=SECONDS_BETWEEN_SWAPS)
    judged = [j.judged_at for j in judgements if j.model.version == version and announced_at <= j.judged_at < until]
    return (min(judged) - announced_at).total_seconds() if judged else _NEVER


async def memory_over_swaps(rig: Rig, versions: Sequence[ModelVersion]) -> list[Figure]:
    """Swap many times and compare resident memory after the first swaps with that after the last."""
    after = []
    for number in range(SWAPS_FOR_MEMORY):
        target = versions[number % len(versions)].model.version
        before = len(rig.answers.judgements)
        released = await rig.release(target)
        while True:
            await rig.publish(list(frames(1, f"memory-{number}-{len(rig.answers.judgements)}")))
            await rig.answers.until(before + 1)
            before = len(rig.answers.judgements)
            newest = rig.answers.judgements[-1]
            if newest.model.version == target and newest.judged_at >= released.announced_at:
                break
        after.append(rig.resident_bytes())
    early, late = float(np.median(after[5:15])), float(np.median(after[-10:]))
    method = (
        f"resident memory of the service: median after swaps {SWAPS_FOR_MEMORY - 9} to {SWAPS_FOR_MEMORY} over that "
        "after swaps 6 to 15, less 1; a frame judged after each swap"
    )
    return [
        measured(
            f"growth of resident memory over {SWAPS_FOR_MEMORY} swaps", late / early - 1, "", method, at_most=0.05
        ),
        measured("resident memory after the last swap", late / 2**20, "MiB", method),
    ]
