import asyncio

import pytest

from stream.waiting import wait_at_most


async def test_an_event_or_the_end_of_the_time() -> None:
    event = asyncio.Event()
    assert not await wait_at_most(event, 0.001)
    event.set()
    assert await wait_at_most(event, 0.001)
    assert await wait_at_most(event, None)


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_that_comes_with_the_event_is_not_lost(turns: int) -> None:
    """As many turns of the loop after the event as it may take to notice it."""
    event = asyncio.Event()
    waiting = asyncio.create_task(wait_at_most(event, 60))
    await asyncio.sleep(0.001)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    still_waits = waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled() == still_waits
