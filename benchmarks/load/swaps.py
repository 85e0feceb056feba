"""A thousand swaps while frames stream: what they cost the frames, the memory and the event loop."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.figures import Figure, measured
from benchmarks.load.bench import Bench
from benchmarks.load.books import Line, account
from benchmarks.load.processes import resident_bytes
from benchmarks.load.stalls import Distribution, idle_beside, scrape_stalls
from benchmarks.load.traffic import Traffic, simulated
from schemas.topics import FRAMES

LOAD = 12.0
"""Frames/s: under half of what a core judges, so that waiting is not what is measured."""
WELD_FRAMES = 3
"""A new version judges the welds that begin after it, here one each quarter of a second."""
WELD_IDLE_SECONDS = 1.0
"""After which a weld has ended, and the version that judged it may go, so that it is built anew when its turn comes."""
SWAPS_OF_A_ROUND = 100
STEADY_SECONDS = 6.0
"""Without a swap, after each round of swaps: both kinds of time lie all over the run."""
SETTLE_SECONDS = 1.0
"""After a round of swaps, until the last version before is freed too."""
PATIENCE_SECONDS = 10.0
WARM_UP_SWAPS = 20
PROBE_SECONDS = 0.002
STALL_SECONDS = 0.01
EDGE = 2
"""Rounds of swaps after which memory is looked at, at the beginning and at the end."""


@dataclass(slots=True)
class Course:
    """What happened when, in seconds since 1970.

    Attributes
    ----------
    swaps : list of (float, float)
        From each announcement to the first frame that the version judged.
    steady : list of (float, float)
        Stretches without a swap.
    resident : list of int
        Bytes after each swap: as many versions are in memory as welds in progress need.
    rest : list of int
        Bytes at the end of each stretch without a swap: one version is.
    missing : int
        Announcements whose version judged no frame in time.
    """

    swaps: list[tuple[float, float]] = field(default_factory=list)
    steady: list[tuple[float, float]] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    rest: list[int] = field(default_factory=list)
    missing: int = 0


def within(lines: Sequence[Line], spans: Sequence[tuple[float, float]]) -> list[float]:
    """Return the latencies of the frames that were judged within any of the spans.

    Parameters
    ----------
    lines : sequence of Line
        In any order.
    spans : sequence of (float, float)
        One after the other, none within another.
    """
    begins = np.array([begin for begin, _ in spans])
    ends = np.array([end for _, end in spans])
    at = np.array([line.judged_at for line in lines])
    latest = np.searchsorted(begins, at, side="right") - 1
    inside = (latest >= 0) & (at <= ends[np.maximum(latest, 0)])
    return [line.latency for line, found in zip(lines, inside, strict=True) if found]


class Swaps:
    """Swaps on a bench.

    Parameters
    ----------
    bench : Bench
        Without inference.
    count : int
        Swaps to be counted; some more come before.
    """

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench = bench
        self._count = count
        topic = bench.rig.kafka.topic(FRAMES)
        self._traffic = Traffic(simulated(topic, WELD_FRAMES), WELD_FRAMES, 1, "swaps")
        self._first = len(bench.books.lines)
        self._turn = 0

    async def run(self) -> list[Figure]:
        """Measure."""
        bench = self._bench
        service = await bench.start(
            "inference",
            {
                "WELDSTREAM_SERVING__WELD_IDLE_SECONDS": str(WELD_IDLE_SECONDS),
                "WELDSTREAM_SERVING__LOOP_PROBE_SECONDS": str(PROBE_SECONDS),
            },
        )
        stopping = asyncio.Event()
        sending = asyncio.create_task(self._traffic.send(bench.rig.producer, rate=LOAD, stopping=stopping))
        try:
            bench.say(f"{WARM_UP_SWAPS} swaps to warm up")
            await self._swaps(service.pid, Course(), WARM_UP_SWAPS)
            before = await scrape_stalls(service.url)
            course = Course()
            async with idle_beside(PROBE_SECONDS) as idle:
                while len(course.resident) < self._count:
                    share = min(SWAPS_OF_A_ROUND, self._count - len(course.resident))
                    bench.say(f"swaps {len(course.resident) + 1} to {len(course.resident) + share} of {self._count}")
                    await self._swaps(service.pid, course, share)
                    await self._steady(service.pid, course)
            stalls = {name: found.since(before[name]) for name, found in (await scrape_stalls(service.url)).items()}
        finally:
            stopping.set()
            await sending
        await bench.books.until(self._first + self._traffic.sent)
        await bench.books.settle()
        await bench.stop(service)
        return self._figures(course, stalls, idle.seconds)

    async def _swaps(self, pid: int, course: Course, count: int) -> None:
        for _ in range(count):
            await self._swap(course)
            course.resident.append(resident_bytes(pid))
        await asyncio.sleep(SETTLE_SECONDS)

    async def _steady(self, pid: int, course: Course) -> None:
        began = self._bench.now()
        await asyncio.sleep(STEADY_SECONDS)
        course.steady.append((began, self._bench.now()))
        course.rest.append(resident_bytes(pid))

    async def _swap(self, course: Course) -> None:
        """Announce the next version and wait until it judges."""
        bench = self._bench
        self._turn += 1
        version = bench.versions[self._turn % len(bench.versions)].model.version
        looked = len(bench.books.lines)
        began = (await bench.rig.release(version)).announced_at.timestamp()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await bench.books.until(looked + 1)
                    line = bench.books.lines[looked]
                    looked += 1
                    if line.version == version:
                        course.swaps.append((began, line.judged_at))
                        return
        except TimeoutError:
            course.missing += 1

    def _figures(self, course: Course, stalls: dict[str, Distribution], idle: Sequence[float]) -> list[Figure]:
        lines = self._bench.books.lines[self._first :]
        method = (
            f"{self._count} announcements of {len(self._bench.versions)} versions in turn, each built anew, the next "
            f"when a frame was judged by the one before; at {LOAD:g} frames/s, {WELD_FRAMES} to a weld, on the real "
            f"broker; {WARM_UP_SWAPS} swaps before that do not count; nothing is pinned"
        )
        found = account(lines, self._traffic.sent)
        welds = f"{method}; {len({line.weld_id for line in lines})} welds, each pass of which must have one judge"
        return [
            measured("swaps", len(course.swaps), "swaps", method, at_least=self._count),
            measured("frames lost over the swaps", found.lost, "frames", method, at_most=0),
            measured("frames judged twice over the swaps", found.twice, "frames", method, at_most=0),
            measured("welds judged by more than one version", found.mixed, "welds", welds, at_most=0),
            measured("welds of more than one pass", found.reopened, "welds", f"{welds}; a pause ended the pass before"),
            *_memory(course, method),
            *_latency(course, lines, method),
            *_loop(stalls, idle, method),
        ]


def _memory(course: Course, method: str) -> list[Figure]:
    early, late = (float(np.mean(part)) for part in (course.rest[:EDGE], course.rest[-EDGE:]))
    how = (
        f"{method}; with one version in memory, {STEADY_SECONDS:g} s after each round of {SWAPS_OF_A_ROUND}: mean "
        f"after the last {EDGE} rounds over that after the first {EDGE}, less 1; {len(course.rest)} rounds"
    )
    most = f"{method}; with all versions in memory that welds in progress need: the most after any swap"
    return [
        measured("drift of resident memory over the swaps", late / early - 1, "", how, at_most=0.05),
        measured("resident memory after the swaps", late / 2**20, "MiB", how),
        measured("most resident memory during the swaps", max(course.resident) / 2**20, "MiB", most),
    ]


def _latency(course: Course, lines: Sequence[Line], method: str) -> list[Figure]:
    during, steady = within(lines, course.swaps), within(lines, course.steady)
    how = (
        f"{method}; {len(during)} frames judged between an announcement and the first frame of its version, that one "
        f"too, and {len(steady)} in {len(course.steady)} stretches without a swap between"
    )
    slow, calm = (float(np.percentile(part, 99)) for part in (during, steady))
    waits = [end - begin for begin, end in course.swaps]
    return [
        measured("p99 latency in swap windows over steady", slow / calm, "", how, at_most=1.25),
        measured("p99 latency in swap windows", 1000 * slow, "ms", how),
        measured("p99 latency between rounds of swaps", 1000 * calm, "ms", how),
        measured("p50 latency in swap windows", 1000 * float(np.median(during)), "ms", how),
        measured("p50 latency between rounds of swaps", 1000 * float(np.median(steady)), "ms", how),
        measured("announcement to first judgement over the swaps, median", float(np.median(waits)), "s", how),
        measured("announcement to first judgement over the swaps, worst", max(waits), "s", how, at_most=1.0),
    ]


def _loop(stalls: dict[str, Distribution], idle: Sequence[float], method: str) -> list[Figure]:
    how = (
        f"{method}; the service's own metric, the longest delay of its event loop in each quarter of a second, probed "
        f"each {1000 * PROBE_SECONDS:g} ms; to the upper bound of the metric's bucket"
    )
    beside = f"the same probe in a process that does nothing, beside it: {len(idle)} quarters of a second"
    figures = []
    for name, during, bar in (
        ("swap", "while a model is swapped", 1000 * STALL_SECONDS),
        ("serving", "otherwise", None),
    ):
        found = stalls[name]
        counted = f"{how}; {found.count} of them {during}"
        figures += [
            measured(f"loop stall {during}, median", 1000 * found.bound(0.5), "ms", counted),
            measured(f"loop stall {during}, p99", 1000 * found.bound(0.99), "ms", counted, at_most=bar),
            measured(f"loop stall {during}, p99.9", 1000 * found.bound(0.999), "ms", counted),
            measured(f"loop stall {during}, longest", 1000 * found.bound(1.0), "ms", counted),
            measured(
                f"quarters of a second with a stall over 10 ms, {during}",
                100 * found.above(STALL_SECONDS),
                "%",
                counted,
            ),
        ]
    figures += [
        measured(f"loop stall of an idle process, {name}", 1000 * float(np.percentile(idle, share)), "ms", beside)
        for name, share in (("median", 50), ("p99", 99), ("p99.9", 99.9), ("longest", 100))
    ]
    return figures
