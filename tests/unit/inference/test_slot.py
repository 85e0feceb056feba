import asyncio
import weakref
from pathlib import Path

import pytest

from inference.session import ModelSession, SessionLoader
from inference.slot import SessionSlot
from tests.unit.inference.tiny import write_model


def load(folder: Path, number: int) -> ModelSession:
    return SessionLoader(1, (16, 16)).load(*write_model(folder, number))


def make_slot(limit: int = 4, needed: set[int] | None = None) -> SessionSlot:
    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    return SessionSlot(limit, lambda: needed or set(), pause)


async def test_filled_waits_for_the_first_model(tmp_path: Path) -> None:
    slot = make_slot()
    waiting = asyncio.create_task(slot.filled())
    await asyncio.sleep(0)
    assert not waiting.done()
    slot.swap(load(tmp_path, 1))
    await waiting
    assert slot.current is not None
    assert slot.current.version.model.version == 1


async def test_a_batch_keeps_the_session_it_began_with(tmp_path: Path) -> None:
    slot = make_slot()
    slot.swap(load(tmp_path, 1))
    with slot.lease([1]) as before:
        slot.swap(load(tmp_path, 2))
        retired = asyncio.create_task(slot.retired())
        await asyncio.sleep(0.01)
        assert not retired.done()
        assert before[1].session.version.model.version == 1
        with slot.lease([2]) as after:
            assert after[2].version.model.version == 2
    await retired
    with pytest.raises(RuntimeError, match="freed"):
        _ = before[1].session


async def test_a_replaced_session_is_gone(tmp_path: Path) -> None:
    slot = make_slot()
    session = load(tmp_path, 1)
    gone = weakref.ref(session)
    slot.swap(session)
    del session
    slot.swap(load(tmp_path, 2))
    await slot.retired()
    assert gone() is None


async def test_a_version_that_welds_need_stays_until_they_end(tmp_path: Path) -> None:
    needed = {1}
    slot = make_slot(needed=needed)
    slot.swap(load(tmp_path, 1))
    slot.swap(load(tmp_path, 2))
    assert set(slot.live) == {1, 2}
    with slot.lease([1, 2, 1]) as live:
        assert {number: serving.session.version.model.version for number, serving in live.items()} == {1: 1, 2: 2}
    needed.clear()
    slot.tidy()
    await slot.retired()
    assert set(slot.live) == {2}
    with pytest.raises(KeyError), slot.lease([1]):
        pass


async def test_a_slot_has_room_for_so_many_and_returns_to_one_it_has(tmp_path: Path) -> None:
    slot = make_slot(limit=2, needed={1, 2})
    slot.swap(load(tmp_path, 1))
    assert slot.has_room
    slot.swap(load(tmp_path, 2))
    assert not slot.has_room
    first = slot.live[1]
    model = first.version.model
    assert slot.swap_to_live(model)
    assert slot.current is first
    assert not slot.swap_to_live(model.model_copy(update={"version": 3}))
    assert not slot.swap_to_live(model.model_copy(update={"digest": "0" * 64}))
    assert slot.current is first
