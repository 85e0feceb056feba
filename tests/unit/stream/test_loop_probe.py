import asyncio
import time

import pytest

from stream.loop_probe import LoopProbe


class Time:
    """A clock that sleeping moves, later than asked by what is on the list."""

    def __init__(self, late: list[float]) -> None:
        self.now = 0.0
        self.late = late

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.late:
            raise asyncio.CancelledError
        self.now += seconds + self.late.pop(0)


async def probe(late: list[float], busy_from: float = 1e9) -> list[tuple[float, bool]]:
    seen: list[tuple[float, bool]] = []
    moment = Time(late)
    found = LoopProbe(
        lambda seconds, busy: seen.append((round(seconds, 6), busy)),
        lambda: moment.now >= busy_from,
        interval_seconds=1.0,
        window_seconds=3.0,
        clock=moment.clock,
        sleep=moment.sleep,
    )
    with pytest.raises(asyncio.CancelledError):
        await found.run()
    return seen


async def test_each_window_tells_its_longest_stall() -> None:
    assert await probe([0.0, 0.5, 0.1, 0.0, 0.25, 0.0]) == [(0.5, False), (0.25, False)]


async def test_a_stall_longer_than_a_window_is_told_whole() -> None:
    assert await probe([10.0, 0.0, 0.0, 0.0]) == [(10.0, False), (0.0, False)]


async def test_a_window_counts_as_busy_if_any_of_it_was() -> None:
    # Busy from within the second window on.
    assert await probe([0.0] * 9, busy_from=4.5) == [(0.0, False), (0.0, True), (0.0, True)]


async def test_it_sees_a_callback_that_keeps_the_loop() -> None:
    seen: list[float] = []
    stalled = asyncio.Event()

    def observe(seconds: float, busy: bool) -> None:
        seen.append(seconds)
        if seconds >= 0.09:
            stalled.set()

    task = asyncio.create_task(LoopProbe(observe, lambda: False, interval_seconds=0.001, window_seconds=0.05).run())
    await asyncio.sleep(0.01)
    time.sleep(0.1)  # noqa: ASYNC251 - the stall
    await stalled.wait()
    task.cancel()
    assert max(seen) >= 0.09
