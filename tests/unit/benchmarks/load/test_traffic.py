import asyncio

import pytest

from benchmarks.load.traffic import Traffic, simulated
from schemas import Frame
from stream.codec import FrameLimits, decode_frame
from tests.unit.inference.records import as_read

TOPIC = "weldstream.frames"
LIMITS = FrameLimits(max_bytes=1 << 20, max_pixels=1 << 20)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(simulated(TOPIC, weld_frames=3, welds=2), weld_frames=3, lines=2, prefix="t")


def frame_of(traffic: Traffic, number: int) -> Frame:
    return decode_frame(as_read(traffic.record(number)), LIMITS).frame


def test_each_frame_has_a_name_of_its_own_and_each_weld_all_its_frames(traffic: Traffic) -> None:
    frames = [frame_of(traffic, number) for number in range(24)]
    assert len({frame.frame_id for frame in frames}) == 24
    welds = {weld: [f.frame_id for f in frames if f.weld_id == weld] for weld in {f.weld_id for f in frames}}
    assert all(ids == [f"{weld}-{place}" for place in range(3)] for weld, ids in welds.items())
    assert len(welds) == 8


def test_lines_take_turns(traffic: Traffic) -> None:
    assert [frame_of(traffic, number).weld_id for number in range(8)] == [
        "t-0", "t-1", "t-0", "t-1", "t-0", "t-1", "t-2", "t-3",
    ]  # fmt: skip


def test_the_frames_of_a_weld_are_those_of_a_simulated_weld_in_order(traffic: Traffic) -> None:
    positions = [frame_of(traffic, number).position_mm for number in (0, 2, 4)]
    assert positions == sorted(positions)
    assert len(set(positions)) == 3


class Producer:
    """Takes whatever is sent, and acknowledges it later."""

    def __init__(self, stopping: asyncio.Event | None = None, stop_after: int = 0) -> None:
        self.ids: list[str] = []
        self.stopping, self.stop_after = stopping, stop_after

    async def send(self, topic: str, *, headers: list[tuple[str, bytes]], **_: object) -> asyncio.Future[None]:
        self.ids.append(dict(headers)["ce_id"].decode())
        if self.stopping is not None and len(self.ids) == self.stop_after:
            self.stopping.set()
        return asyncio.ensure_future(asyncio.sleep(0))


def fresh() -> Traffic:
    return Traffic(simulated(TOPIC, 3, 1), 3, 1, "t")


async def test_sending_goes_on_where_it_ended() -> None:
    traffic, producer = fresh(), Producer()
    await traffic.send(producer, 2)
    await traffic.send(producer, 2, rate=1000.0)
    assert producer.ids == ["t-0-0", "t-0-1", "t-0-2", "t-1-0"]
    assert traffic.sent == 4


async def test_sending_without_a_number_goes_on_until_stopped() -> None:
    stopping = asyncio.Event()
    traffic, producer = fresh(), Producer(stopping, 300)
    await traffic.send(producer, stopping=stopping)
    assert traffic.sent == len(producer.ids) == 300


async def test_a_frame_that_the_broker_refuses_is_no_secret() -> None:
    class Refusing(Producer):
        async def send(self, topic: str, **rest: object) -> asyncio.Future[None]:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.set_exception(ValueError("refused"))
            return future

    with pytest.raises(ValueError, match="refused"):
        await fresh().send(Refusing(), 1)


def test_half_a_weld_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole welds"):
        Traffic(simulated(TOPIC, 3, 1)[:2], 3, 1, "t")
