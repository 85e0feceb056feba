import asyncio
import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from benchmarks.load.stalls import Distribution, idle_beside, read_stalls
from inference.metrics import InferenceMetrics


def test_the_services_own_metric_is_read() -> None:
    registry = CollectorRegistry()
    stalls = InferenceMetrics(registry).loop_stall
    for seconds in (0.0005, 0.0015, 0.0015, 0.012):
        stalls.labels("swap").observe(seconds)
    stalls.labels("serving").observe(0.0001)
    found = read_stalls(generate_latest(registry).decode())
    assert (found["swap"].count, found["serving"].count) == (4, 1)
    assert (found["swap"].bound(0.5), found["swap"].bound(1.0)) == (0.002, 0.015)
    assert found["swap"].above(0.01) == 0.25


def test_what_was_seen_before_does_not_count() -> None:
    before = Distribution({0.01: 3.0, math.inf: 4.0})
    after = Distribution({0.01: 13.0, math.inf: 14.0})
    assert after.since(before).count == 10
    assert after.since(before).above(0.01) == 0.0


def test_nothing_seen_is_no_number() -> None:
    empty = Distribution({0.01: 0.0, math.inf: 0.0})
    assert math.isnan(empty.bound(0.99))
    assert math.isnan(empty.above(0.01))


def test_a_bound_that_is_no_bucket_is_refused() -> None:
    with pytest.raises(KeyError):
        Distribution({0.01: 1.0, math.inf: 1.0}).above(0.02)


async def test_an_idle_process_tells_what_it_saw() -> None:
    async with idle_beside(0.005) as idle:
        await asyncio.sleep(2.0)
    assert idle.seconds
    assert all(stall > -0.005 for stall in idle.seconds)
