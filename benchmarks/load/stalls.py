"""How long event loops stalled: the service's, as its own metric tells, and an idle one's beside it."""

import asyncio
import json
import math
import sys
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

METRIC = "weldstream_inference_loop_stall_seconds"


@dataclass(frozen=True, slots=True)
class Distribution:
    """Counts by bucket.

    Attributes
    ----------
    cumulative : mapping of float to float
        How many observations were at most a bound, by bound; the largest bound is infinite.
    """

    cumulative: Mapping[float, float]

    @property
    def count(self) -> int:
        """Observations in all."""
        return int(max(self.cumulative.values(), default=0))

    def since(self, before: "Distribution") -> "Distribution":
        """Return what was observed after an earlier state of the same histogram."""
        return Distribution({k: v - before.cumulative.get(k, 0.0) for k, v in self.cumulative.items()})

    def bound(self, share: float) -> float:
        """Return the smallest bound that at least a share of the observations keep, NaN where there are none."""
        wanted = share * self.count
        return next((b for b, seen in sorted(self.cumulative.items()) if self.count and seen >= wanted), math.nan)

    def above(self, seconds: float) -> float:
        """Return the share of observations above a bound, NaN where there are none.

        Raises
        ------
        KeyError
            If the histogram has no such bound.
        """
        within = self.cumulative[seconds]
        return 1 - within / self.count if self.count else math.nan


def read_stalls(exposition: str) -> dict[str, Distribution]:
    """Return the histogram of stalls, by what went on meanwhile, from a page of metrics."""
    found: dict[str, dict[float, float]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == f"{METRIC}_bucket":
                found.setdefault(sample.labels["during"], {})[float(sample.labels["le"])] = sample.value
    return {during: Distribution(buckets) for during, buckets in found.items()}


async def scrape_stalls(url: str) -> dict[str, Distribution]:
    """Read a service's histogram of stalls."""

    def fetch() -> str:
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:  # noqa: S310 - our own service
            return str(response.read().decode())

    return read_stalls(await asyncio.to_thread(fetch))


@dataclass(slots=True)
class Idle:
    """The longest stalls of an idle process, one each quarter of a second, in seconds; there once it has ended."""

    seconds: list[float] = field(default_factory=list)


@asynccontextmanager
async def idle_beside(interval_seconds: float) -> AsyncIterator[Idle]:
    """Let a process that does nothing but probe its loop run beside the block."""
    found = Idle()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load.idle", str(interval_seconds), stdin=PIPE, stdout=PIPE
    )
    try:
        yield found
        found.seconds = await _end(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _end(process: Process) -> list[float]:
    output, _ = await process.communicate(b"")
    return [float(value) for value in json.loads(output)]
