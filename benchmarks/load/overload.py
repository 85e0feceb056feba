"""Three times what inference can judge: what it costs meanwhile, and how it ends."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.figures import Figure, measured
from benchmarks.load.bench import Bench
from benchmarks.load.books import Line, account
from benchmarks.load.processes import Watch, pin, processor_seconds, resident_bytes
from benchmarks.load.traffic import Traffic, simulated
from schemas.topics import FRAMES

TIMES = 3.0
"""Frames sent over frames that can be judged."""
STEADY = 0.5
"""Load before and after, over capacity."""
WELD_FRAMES, LINES = 24, 8
WARM_UP, CAPACITY_FRAMES = 100, 500
LATENCY_RATIO, MEMORY_RATIO = 1.25, 1.5
ALONE_SECONDS, ALONE_SHARE = 60.0, 0.3
"""How long one process drains alone, and of the time that it would need for all at most so much."""
JOINED_SECONDS = 5.0
"""After which a process that joined is taken to have its partitions."""
TAIL = 0.1
"""Share of the backlog at whose end partitions run dry one after the other."""

REPORT_SECONDS = 60.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Course:
    """When what happened, in seconds since 1970.

    Attributes
    ----------
    capacity : float
        Frames/s of one process with a backlog, before.
    before, overload, alone, both, after : (float, float)
        The load that can be borne; the overload; the backlog judged by one process, then by two; the load that can
        be borne again.
    drained : float
        When the last frame of the backlog was judged.
    backlog, overloaded : int
        Frames not judged when the overload ended, and frames sent in it.
    """

    capacity: float
    before: Span
    overload: Span
    alone: Span
    both: Span
    drained: float
    after: Span
    backlog: int
    overloaded: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds: of inference per frame judged alone, and of the broker per frame of the overload."""

    inference: float
    broker: float


def rate(lines: Sequence[Line], span: Span) -> float:
    """Return frames judged per second within a span.

    Raises
    ------
    ValueError
        If fewer than two were.
    """
    times = [line.judged_at for line in lines if span[0] <= line.judged_at <= span[1]]
    if len(times) < 2:  # noqa: PLR2004 - a distance takes two
        raise ValueError(f"{len(times)} frames were judged in {span[1] - span[0]:.0f} s: let it run longer")
    return (len(times) - 1) / (max(times) - min(times))


def seconds(span: Span) -> float:
    """Return the length of a span."""
    return span[1] - span[0]


def percentile_ms(lines: Sequence[Line], span: Span, share: float) -> float:
    """Return a percentile in ms of the latencies of frames judged within a span."""
    return 1000 * float(np.percentile([line.latency for line in lines if span[0] <= line.judged_at <= span[1]], share))


class Overload:
    """Runs the course on a bench.

    Parameters
    ----------
    bench : Bench
        Without inference.
    minutes : float
        Of overload.
    steady_seconds : float
        Of load that can be borne, before and after.
    """

    def __init__(self, bench: Bench, minutes: float, steady_seconds: float) -> None:
        self._bench = bench
        self._seconds = minutes * 60
        self._steady_seconds = steady_seconds
        topic = bench.rig.kafka.topic(FRAMES)
        self._traffic = Traffic(simulated(topic, WELD_FRAMES), WELD_FRAMES, LINES, "overload")

    @property
    def sent(self) -> int:
        """Frames sent in all."""
        return self._traffic.sent

    async def run(self) -> tuple[list[Figure], Spent]:
        """Measure."""
        bench = self._bench
        service = await bench.start("inference")
        pin(service.pid, [bench.pinning.inference[0]])
        memory = Watch(lambda: resident_bytes(service.pid), bench.now)
        async with _beside(memory.run(), self._report(memory)):
            course, spent = await self._course(service.pid)
        await bench.stop(service)
        await bench.books.settle()
        return self._figures(course, memory), spent

    async def _report(self, memory: Watch) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            judged, mib = len(self._bench.books.lines), memory.samples[-1][1] / 2**20
            self._bench.say(f"  {self.sent} frames sent, {judged} judged, {mib:.0f} MiB resident")

    async def _course(self, pid: int) -> tuple[Course, Spent]:
        bench, books = self._bench, self._bench.books
        broker = bench.rig.stack.kafka.pid
        capacity = await self._capacity()
        bench.say(f"capacity {capacity:.1f} frames/s; {self._steady_seconds:.0f} s at {STEADY:g} of it")
        before = await self._load(STEADY * capacity, self._steady_seconds)
        await books.until(self.sent)
        bench.say(f"{self._seconds:.0f} s at {TIMES:g} times of it")
        broker_before, first = processor_seconds(broker), self.sent
        overload = await self._load(TIMES * capacity, self._seconds)
        backlog, overloaded = self.sent - len(books.lines), self.sent - first
        alone_seconds = min(ALONE_SECONDS, ALONE_SHARE * backlog / capacity)
        bench.say(f"{backlog} frames wait; {alone_seconds:.0f} s by one process, then by two")
        spent_before, judged_before = processor_seconds(pid), len(books.lines)
        alone = bench.now(), bench.now() + alone_seconds
        await asyncio.sleep(alone_seconds)
        inference = (processor_seconds(pid) - spent_before) / (len(books.lines) - judged_before)
        second = await bench.start("inference-2")
        pin(second.pid, [bench.pinning.inference[1]])
        joined = bench.now() + JOINED_SECONDS
        await books.until(self.sent - int(TAIL * backlog))
        both = joined, bench.now()
        await books.until(self.sent)
        drained = max(line.judged_at for line in books.lines)
        spent = Spent(inference, (processor_seconds(broker) - broker_before) / overloaded)
        await bench.stop(second)
        # The one that stays takes the partitions over; what that costs is measured among the faults.
        await self._load(STEADY * capacity, JOINED_SECONDS)
        bench.say(f"drained; {self._steady_seconds:.0f} s at {STEADY:g} of capacity again")
        after = await self._load(STEADY * capacity, self._steady_seconds)
        await books.until(self.sent)
        return Course(capacity, before, overload, alone, both, drained, after, backlog, overloaded), spent

    async def _capacity(self) -> float:
        books = self._bench.books
        await self._load(None, WARM_UP)
        await books.until(self.sent)
        await self._load(None, CAPACITY_FRAMES)
        await books.until(self.sent)
        times = sorted(line.judged_at for line in books.lines)[-CAPACITY_FRAMES * 4 // 5 :]
        return rate(books.lines, (times[0], times[-1]))

    async def _load(self, frames_per_second: float | None, amount: float) -> Span:
        """Send frames for so many seconds, or so many frames at once."""
        bench = self._bench
        began = bench.now()
        count = int(amount if frames_per_second is None else amount * frames_per_second)
        await self._traffic.send(bench.rig.producer, count, frames_per_second)
        return began, bench.now()

    def _figures(self, course: Course, memory: Watch) -> list[Figure]:
        books = self._bench.books
        method = (
            f"{self._seconds:g} s at {TIMES:g} times the capacity of one process, which is measured first with a "
            f"backlog of {CAPACITY_FRAMES} frames; {course.overloaded} frames of 256 x 256 sent at "
            f"{course.overloaded / seconds(course.overload):.0f} frames/s, {LINES} welds at a time, on the real "
            f"broker; {self._bench.pinning}"
        )
        return [
            measured("capacity of one process", course.capacity, "frames/s", method),
            *self._memory(course, memory, method),
            *self._pace(course, method),
            *self._starving(course, method),
            *self._recovery(course, method),
            *self._books(books.lines, method),
        ]

    def _memory(self, course: Course, memory: Watch, method: str) -> list[Figure]:
        steady = float(np.median(memory.between(*course.before)))
        highest = max(memory.between(course.overload[0], course.drained))
        during = memory.between(*course.overload)
        quarter = max(1, len(during) // 4)
        growth = float(np.median(during[-quarter:]) / np.median(during[quarter : 2 * quarter])) - 1
        bar = (
            "; the bar leaves room for what is fetched ahead, a request of each partition, and for the frames in "
            "flight, and for nothing that grows with the backlog"
        )
        return [
            measured(
                "resident memory in overload, highest, over steady before",
                highest / steady,
                "",
                f"{method}; until the backlog is gone{bar}",
                at_most=MEMORY_RATIO,
            ),
            measured(
                "growth of resident memory in overload",
                growth,
                "",
                f"{method}; median of the last quarter over that of the second, less 1",
                at_most=0.05,
            ),
            measured("resident memory, steady", steady / 2**20, "MiB", method),
            measured("resident memory in overload, highest", highest / 2**20, "MiB", method),
        ]

    def _pace(self, course: Course, method: str) -> list[Figure]:
        lines = self._bench.books.lines
        during = rate(lines, course.overload)
        alone, both = rate(lines, course.alone), rate(lines, course.both)
        scale = (
            f"{method}; the backlog judged by one process for {seconds(course.alone):.0f} s and by two, each with half "
            f"of the partitions, for {seconds(course.both):.0f} s"
        )
        # On so few cores the second process has a core that broker and readers need, which says nothing of the service.
        apart = self._bench.pinning.apart
        why = "" if apart else "; no bar: the second process has no core of its own"
        return [
            measured("frames/s judged in overload over capacity", during / course.capacity, "", method, at_least=0.8),
            measured(
                "frames sent in overload over capacity",
                course.overloaded / seconds(course.overload) / course.capacity,
                "",
                method,
                at_least=0.95 * TIMES,
            ),
            measured("frames/s of one process with a backlog", alone, "frames/s", scale),
            measured("frames/s of two processes with a backlog", both, "frames/s", scale),
            measured("two processes over one", both / alone, "", scale + why, at_least=1.8 if apart else None),
        ]

    def _starving(self, course: Course, method: str) -> list[Figure]:
        books, figures = self._bench.books, []
        for name, calls in (("alerts", books.alerts), ("review requests", books.requests)):
            delays = calls.seconds(since=course.overload[0])
            wanted = (
                f"{method}; what each judgement calls for is worked out again from it by the service's rules, and held "
                f"against what was published: {len(calls.wanted)} {name} in all, {len(delays)} since the overload began"
            )
            figures += [
                measured(f"{name} that did not come with their judgement", calls.missing, name, wanted, at_most=0),
                measured(f"{name} that no judgement calls for", calls.unasked, name, wanted, at_most=0),
                measured(
                    f"judgement to its {name}, longest",
                    max(delays, default=math.nan),
                    "s",
                    f"{wanted}; between the Kafka timestamps of the two records, which one transaction holds",
                    at_most=0.1,
                ),
            ]
        return figures

    def _recovery(self, course: Course, method: str) -> list[Figure]:
        lines = self._bench.books.lines
        steady = percentile_ms(lines, course.before, 99)
        after = percentile_ms(lines, course.after, 99)
        drain = course.drained - course.overload[1]
        load = f"{method}; {self._steady_seconds:g} s at {STEADY:g} of the capacity before and after"
        return [
            measured("frames waiting when the overload ended", course.backlog, "frames", method),
            measured("end of the overload to no lag", drain, "s", method),
            measured(
                "end of the overload to no lag, over what one process needs at its capacity",
                drain * course.capacity / course.backlog,
                "",
                f"{method}; a second process joins after {seconds(course.alone):.0f} s, as an operator would",
                at_most=1.1,
            ),
            measured(
                "frames/s of one process with the backlog over its capacity before",
                rate(lines, course.alone) / course.capacity,
                "",
                method,
                at_least=0.9,
            ),
            measured("p99 latency after the overload over before", after / steady, "", load, at_most=LATENCY_RATIO),
            measured("p99 latency before the overload", steady, "ms", load),
            measured("p99 latency after the overload", after, "ms", load),
        ]

    def _books(self, lines: Sequence[Line], method: str) -> list[Figure]:
        found = account(lines, self.sent)
        return [
            measured("frames lost over the overload", found.lost, "frames", method, at_most=0),
            measured("frames judged twice over the overload", found.twice, "frames", method, at_most=0),
        ]


@contextlib.asynccontextmanager
async def _beside(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part) for part in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
