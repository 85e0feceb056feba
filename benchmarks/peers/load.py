"""Sends frames at a rate, and waits until nothing more comes back."""

import asyncio
from collections.abc import Iterable, Sequence

from benchmarks.peers.peer import Answer, Peer, Send
from benchmarks.peers.scans import Scans
from stream.sources import SourceFrame

RATE = 10.0
"""Frames/s: what every system here sustains on one core with room to spare, so that waiting is not what is measured."""
QUIET_SECONDS = 15.0
"""Longer than a Kafka session, after which a group gives a dead member's partitions away."""
WARM_UP = 30
PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.1


async def send_all(peer: Peer, scans: Sequence[SourceFrame], sent: dict[str, float], *, rate: float | None) -> None:
    """Send frames, at once or at a rate, and note when the turn of each came.

    All are encoded beforehand. A frame counts from the moment at which it was
    due: a system that keeps the sender waiting does not gain by it.
    """
    loop = asyncio.get_running_loop()
    ready: list[tuple[str, Send]] = [(scan.frame.frame_id, peer.encode(scan)) for scan in scans]
    start = loop.time()
    sending = []
    for number, (frame_id, send) in enumerate(ready):
        due = start if rate is None else start + number / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        sent[frame_id] = due
        sending.append(asyncio.ensure_future(send()))
    await asyncio.gather(*sending)


async def settled(peer: Peer, frame_ids: Iterable[str], quiet_seconds: float = QUIET_SECONDS) -> None:
    """Wait until each of the frames has an answer, or none has come for some time; then a second for late doubles."""
    loop = asyncio.get_running_loop()
    wanted, seen, changed = set(frame_ids), len(peer.answers), loop.time()
    while loop.time() - changed < quiet_seconds and not wanted <= {a.frame_id for a in peer.answers}:
        await asyncio.sleep(_POLL_SECONDS)
        if len(peer.answers) != seen:
            seen, changed = len(peer.answers), loop.time()
    await asyncio.sleep(1.0)


async def ready_to_judge(peer: Peer, scans: Scans) -> Answer:
    """Warm a system up and return its answer to the first frame.

    A server may say that it is ready before it reads its topic: the first
    frame is sent until it is answered.

    Raises
    ------
    TimeoutError
        If it never is.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        attempt = 0
        while not any(not a.refused for a in peer.answers):
            await send_all(peer, scans.take(1, f"first-{attempt}"), {}, rate=None)
            await asyncio.sleep(1.0)
            attempt += 1
    first = next(a for a in peer.answers if not a.refused)
    sent: dict[str, float] = {}
    await send_all(peer, scans.take(WARM_UP, "warm-up"), sent, rate=RATE)
    await settled(peer, sent)
    return first
