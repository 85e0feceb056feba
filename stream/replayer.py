"""Publishes a source as if it came from the instrument now."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np

from schemas.rasters import MediaType
from stream.codec import encode_frame
from stream.records import OutRecord
from stream.sources.base import SourceFrame

Send = Callable[[OutRecord], Awaitable[Awaitable[Any]]]
"""Hands a record over and returns what is done when it is delivered; see :func:`stream.broker.send`."""


async def replay(
    source: Iterable[SourceFrame],
    send: Send,
    *,
    topic: str,
    origin: str = "weldstream/replay",
    media_type: str | None = None,
    speed: float | None = None,
    in_flight: int = 64,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    on_sent: Callable[[SourceFrame], None] | None = None,
) -> int:
    """Publish every frame of a source, in order, and return how many there were once all are delivered.

    Parameters
    ----------
    source : iterable of SourceFrame
        What to publish; masks are not.
    send : callable
        Hands a record to the producer.
    topic, origin : str
        Full name of the topic, CloudEvents source.
    media_type : str or None
        Encoding; None is PNG, and raw samples where they are float32.
    speed : float or None
        Event seconds per wall second, so 2 is twice as fast as it was taken;
        None is as fast as possible.
    in_flight : int
        Most records that are sent and not yet delivered.
    clock, sleep : callable
        Monotonic seconds; waits for seconds.
    on_sent : callable or None
        Told of each frame handed over.

    Raises
    ------
    ValueError
        If the speed is not positive.
    """
    if speed is not None and not speed > 0:
        msg = f"speed is event seconds per wall second and must be positive, not {speed}"
        raise ValueError(msg)
    pending: deque[Awaitable[Any]] = deque()
    frames = iter(source)
    first: datetime | None = None
    started = clock()
    count = 0
    # Reading and encoding leave the event loop, which has deliveries to attend to.
    while (step := await asyncio.to_thread(_next, frames, topic, origin, media_type)) is not None:
        taken, record = step
        if speed is not None:
            first = first or taken.frame.time
            due = started + (taken.frame.time - first).total_seconds() / speed
            if (wait := due - clock()) > 0:
                await sleep(wait)
        if len(pending) >= in_flight:
            await pending.popleft()
        pending.append(await send(record))
        count += 1
        if on_sent is not None:
            on_sent(taken)
    while pending:
        await pending.popleft()
    return count


def _next(
    frames: Iterator[SourceFrame], topic: str, origin: str, media_type: str | None
) -> tuple[SourceFrame, OutRecord] | None:
    taken = next(frames, None)
    if taken is None:
        return None
    # PNG is smaller, but holds no floats.
    kind = media_type or (MediaType.RAW if taken.pixels.dtype == np.float32 else MediaType.PNG)
    return taken, encode_frame(taken.frame, taken.pixels, topic=topic, source=origin, media_type=kind)
