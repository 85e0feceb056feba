"""Frames for hours: a few simulated welds, sent again and again under new names."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaProducer

from benchmarks.rig import SOURCE, frames
from stream.broker import send
from stream.codec import encode_frame
from stream.records import OutRecord

WELDS = 20
_NAMED = {"ce_id", "ce_subject"}


def simulated(topic: str, weld_frames: int, welds: int = WELDS) -> list[OutRecord]:
    """Return the records of simulated welds, one weld after another, encoded."""
    scans = frames(welds * weld_frames, "template", weld_frames)
    return [encode_frame(scan.frame, scan.pixels, topic=topic, source=SOURCE) for scan in scans]


class Traffic:
    """Frames of several lines at a time, each with one weld after another.

    Parameters
    ----------
    templates : sequence of OutRecord
        Encoded frames, whole welds one after another.
    weld_frames : int
        Frames of a weld.
    lines : int
        Welds that are in progress at a time; a frame of each comes in turn.
    prefix : str
        Begins all names; unique in a run.
    """

    def __init__(self, templates: Sequence[OutRecord], weld_frames: int, lines: int, prefix: str) -> None:
        if not templates or len(templates) % weld_frames:
            raise ValueError(f"{len(templates)} templates are no whole welds of {weld_frames} frames")
        self._templates = templates
        self._weld_frames = weld_frames
        self._lines = lines
        self._prefix = prefix
        self.sent = 0

    def record(self, number: int) -> OutRecord:
        """Return a frame by its number, from 0 on."""
        turn, line = divmod(number, self._lines)
        of_line, place = divmod(turn, self._weld_frames)
        weld = of_line * self._lines + line
        template = self._templates[(weld * self._weld_frames + place) % len(self._templates)]
        name = f"{self._prefix}-{weld}"
        new = {"ce_id": f"{name}-{place}".encode(), "ce_subject": name.encode()}
        headers = tuple((key, new.get(key, value)) for key, value in template.headers)
        return replace(template, key=name.encode(), headers=headers)

    async def send(
        self,
        producer: AIOKafkaProducer,
        count: int | None = None,
        rate: float | None = None,
        stopping: asyncio.Event | None = None,
    ) -> None:
        """Send the next frames and return when the brokers have acknowledged all.

        Parameters
        ----------
        producer : AIOKafkaProducer
            Started.
        count : int or None
            How many; None sends until stopped.
        rate : float or None
            Frames/s; None sends at once.
        stopping : asyncio.Event or None
            Ends it.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting: set[asyncio.Future[Any]] = set()
        for number in itertools.count():
            if number == count or (stopping is not None and stopping.is_set()):
                break
            if rate is not None:
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            delivery = await send(producer, self.record(self.sent))
            self.sent += 1
            waiting.add(delivery)
            done = {future for future in waiting if future.done()} if len(waiting) > _LOOK else set()
            for future in done:
                future.result()
            waiting -= done
        await asyncio.gather(*waiting)


_LOOK = 256
"""Deliveries under way before those that ended are looked at: an hour's worth is not kept."""
