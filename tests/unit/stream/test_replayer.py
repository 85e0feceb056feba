import asyncio
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest

from stream.codec import FrameLimits, decode_frame
from stream.records import OutRecord
from stream.replayer import replay
from stream.sources import SourceFrame
from tests.unit.stream.samples import TIME, arrived, make_frame, speckle


def frames(count: int, seconds: float = 0.5, dtype: str = "uint8") -> Iterator[SourceFrame]:
    for index in range(count):
        frame = make_frame(f"f{index}").model_copy(update={"time": TIME + timedelta(seconds=index * seconds)})
        yield SourceFrame(frame, speckle(dtype, (4, 5), index), None)


class Line:
    """A producer whose deliveries the test decides on, and a clock that only sleeping advances."""

    def __init__(self, *, deliver: bool = True) -> None:
        self.now = 100.0
        self.deliver = deliver
        self.sent: list[tuple[float, OutRecord]] = []
        self.open: list[asyncio.Future[None]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def send(self, record: OutRecord) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.append((self.now, record))
        if self.deliver:
            future.set_result(None)
        else:
            self.open.append(future)
        return future

    async def replay(self, count: int, **options: object) -> int:
        return await replay(frames(count), self.send, topic="t", clock=self.clock, sleep=self.sleep, **options)


async def test_all_frames_are_published_in_order() -> None:
    line = Line()
    told: list[str] = []
    assert await line.replay(5, on_sent=lambda taken: told.append(taken.frame.frame_id)) == 5
    decoded = [decode_frame(arrived(record), FrameLimits()) for _, record in line.sent]
    assert [d.frame.frame_id for d in decoded] == told == [f"f{n}" for n in range(5)]
    np.testing.assert_array_equal(decoded[3].pixels, speckle("uint8", (4, 5), 3))
    assert line.now == 100.0


async def test_floats_travel_raw() -> None:
    line = Line()
    await replay(frames(1, dtype="float32"), line.send, topic="t")
    assert decode_frame(arrived(line.sent[0][1]), FrameLimits()).pixels.dtype == np.float32


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 0.5), (2.0, 0.25), (0.5, 1.0)])
async def test_speed_is_event_seconds_per_wall_second(speed: float, seconds: float) -> None:
    line = Line()
    await line.replay(4, speed=speed)
    assert [time for time, _ in line.sent] == pytest.approx([100 + n * seconds for n in range(4)])


async def test_a_slow_receiver_does_not_add_up() -> None:
    """Time lost on the way is made up for, not added to every pause."""
    line = Line()
    await replay(
        frames(4),
        line.send,
        topic="t",
        speed=1.0,
        clock=line.clock,
        sleep=line.sleep,
        on_sent=lambda taken: setattr(line, "now", line.now + 0.2),
    )
    assert [time for time, _ in line.sent] == pytest.approx([100, 100.5, 101, 101.5])


async def test_what_is_in_flight_is_bounded() -> None:
    line = Line(deliver=False)
    task = asyncio.create_task(line.replay(10, in_flight=3))
    delivered = 0
    while not task.done():
        await asyncio.wait([task], timeout=0.01)
        assert len(line.sent) - delivered <= 3
        if line.open:
            line.open.pop(0).set_result(None)
            delivered += 1
    assert await task == 10
    assert delivered == 10


async def test_a_failed_delivery_is_raised() -> None:
    line = Line(deliver=False)
    task = asyncio.create_task(line.replay(1))
    while not line.open:
        await asyncio.wait([task], timeout=0.01)
    line.open[0].set_exception(ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await task


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
async def test_senseless_speeds_are_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        await Line().replay(1, speed=speed)
