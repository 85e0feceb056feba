"""Waiting for something to happen, for a time."""

import asyncio


async def wait_at_most(event: asyncio.Event, seconds: float | None) -> bool:
    """Return whether an event was set within some seconds; None waits for as long as it takes.

    A cancellation always comes through. With ``asyncio.wait_for``, up to
    Python 3.11, one that comes together with the event is lost, and whoever
    cancelled waits for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
