import os
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.load.processes import Pinning, Watch, folder_bytes, pin, plan


def test_inference_has_its_cores_to_itself_where_there_are_enough() -> None:
    found = plan(range(4))
    assert found == Pinning((3, 2), (0, 1))
    assert found.apart


def test_on_two_cores_everything_shares() -> None:
    found = plan([0, 1])
    assert found == Pinning((1, 0), (0, 1))
    assert not found.apart
    assert "too few" in str(found)


@pytest.mark.parametrize("cores", [[], [5]])
def test_without_two_cores_nothing_is_pinned(cores: list[int]) -> None:
    assert plan(cores).inference == (-1, -1)
    assert "nothing is pinned" in str(plan(cores))
    pin(os.getpid(), plan(cores).inference)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins")
def test_threads_that_run_already_are_pinned_too() -> None:
    before = os.sched_getaffinity(0)
    stop, found = threading.Event(), []

    def work() -> None:
        stop.wait()
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        pin(os.getpid(), [min(before)])
        stop.set()
        thread.join()
        assert found == [{min(before)}]
    finally:
        stop.set()
        pin(os.getpid(), before)


def test_only_segments_of_the_topic_count(tmp_path: Path) -> None:
    for name, size in (
        ("frames-0/a.log", 10),
        ("frames-1/b.log", 20),
        ("frames-0/a.index", 40),
        ("labels-0/c.log", 80),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
    assert folder_bytes(tmp_path, "frames-*") == 30
    assert folder_bytes(tmp_path, "*") == 110


def test_a_watch_returns_what_it_saw_in_a_stretch_of_time() -> None:
    watch = Watch(lambda: 0.0, lambda: 0.0, [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)])
    assert watch.between(1.5, 3.0) == [20.0, 30.0]
