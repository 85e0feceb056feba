"""What a process takes: its cores, its memory, its time on the processor."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CORES_FOR_PINNING = 4
"""Two processes on a core each, and two that broker and load share."""


@dataclass(frozen=True, slots=True)
class Pinning:
    """Which cores whom.

    Attributes
    ----------
    inference : tuple of int
        A core for each inference process; -1 where this system cannot pin.
    others : tuple of int
        Cores of broker, Redis and load.
    """

    inference: tuple[int, int]
    others: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """Whether no other process of the benchmark has the cores of inference."""
        return not set(self.inference) & set(self.others)

    def __str__(self) -> str:
        if self.inference[0] < 0:
            return "nothing is pinned, which this system does not offer"
        first, second = self.inference
        shared = "" if self.apart else ", those of inference among them, since there are too few"
        cores = ", ".join(map(str, self.others))
        return f"inference on core {first}, the second process on core {second}, broker and load on {cores}{shared}"


def plan(cores: Iterable[int]) -> Pinning:
    """Give the last two cores to inference, and the others to the rest where they are enough."""
    usable = sorted(cores)
    if len(usable) < 2:  # noqa: PLR2004 - a core for each
        return Pinning((-1, -1), tuple(usable))
    first, second = usable[-1], usable[-2]
    others = usable[:-2] if len(usable) >= CORES_FOR_PINNING else usable
    return Pinning((first, second), tuple(others))


def usable_cores() -> set[int]:
    """Return the cores that this process may use; none where the system does not tell."""
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


def pin(pid: int, cores: Iterable[int]) -> None:
    """Let all threads of a process, and those that they start, run on some cores only; negative ones pin nothing."""
    wanted = set(cores)
    if sys.platform != "linux" or min(wanted, default=-1) < 0:
        return
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), wanted)


def processor_seconds(pid: int) -> float:
    """Return the time that a process spent on the processor."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has resident."""
    return int(psutil.Process(pid).memory_info().rss)


def folder_bytes(folder: Path, pattern: str) -> int:
    """Return what the segments of a broker's partitions take on the disk, indices not counted."""
    return sum(path.stat().st_size for path in folder.glob(f"{pattern}/*.log"))


@dataclass(slots=True)
class Watch:
    """Samples a number each half second while it runs.

    Attributes
    ----------
    read : callable
        Returns the number.
    clock : callable
        Returns seconds since 1970.
    samples : list of (float, float)
        Moment and number.
    """

    read: Callable[[], float]
    clock: Callable[[], float]
    samples: list[tuple[float, float]] = field(default_factory=list)

    async def run(self, every_seconds: float = 0.5) -> None:
        """Sample until cancelled."""
        while True:
            self.samples.append((self.clock(), self.read()))
            await asyncio.sleep(every_seconds)

    def between(self, begin: float, end: float) -> list[float]:
        """Return the numbers of a stretch of time."""
        return [number for at, number in self.samples if begin <= at <= end]
