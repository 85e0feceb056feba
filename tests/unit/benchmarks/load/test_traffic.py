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


def test_half_a_weld_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole welds"):
        Traffic(simulated(TOPIC, 3, 1)[:2], 3, 1, "t")
