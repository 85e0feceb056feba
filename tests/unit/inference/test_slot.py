import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from inference.session import ModelSession, SessionLoader
from inference.slot import SessionSlot
from tests.unit.inference.tiny import write_model


def load(folder: Path, number: int) -> ModelSession:
    return SessionLoader(1, (16, 16)).load(*write_model(folder, number))


async def test_an_empty_slot_lends_nothing() -> None:
    with pytest.raises(RuntimeError, match="no model"), SessionSlot().lease(["weld"]):
        pass


async def test_filled_waits_for_the_first_model(tmp_path: Path) -> None:
    slot = SessionSlot()
    waiting = asyncio.create_task(slot.filled())
    await asyncio.sleep(0)
    assert not waiting.done()
    await slot.swap(load(tmp_path, 1))
    await waiting
    assert slot.current is not None
    assert slot.current.version.model.version == 1


async def test_a_batch_keeps_the_session_it_began_with(tmp_path: Path) -> None:
    slot = SessionSlot()
    await slot.swap(load(tmp_path, 1))
    with slot.lease(["a", "b"]) as before:
        swapping = asyncio.ensure_future(slot.swap(load(tmp_path, 2)))
        await asyncio.sleep(0)
        with slot.lease(["a"]) as after:
            assert after["a"].version.model.version == 2
        assert not swapping.done()
        assert {serving.session.version.model.version for serving in before.values()} == {1}
    await swapping
    with pytest.raises(RuntimeError, match="freed"):
        _ = before["a"].session


async def test_a_replaced_session_is_gone(tmp_path: Path) -> None:
    slot = SessionSlot()
    session = load(tmp_path, 1)
    gone = weakref.ref(session)
    await slot.swap(session)
    del session
    await slot.swap(load(tmp_path, 2))
    gc.collect()
    assert gone() is None
