"""Streams that are interrupted: by SIGKILL, by SIGTERM, and by records that cannot be read."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.figures import Figure, measured
from benchmarks.peers.counting import Tally, tally
from benchmarks.peers.load import QUIET_SECONDS, RATE, send_all, settled
from benchmarks.peers.peer import StreamPeer
from benchmarks.peers.processes import PATIENCE_SECONDS
from benchmarks.peers.scans import Scans

BEFORE, BURST, AFTER = 40, 16, 120
"""Frames before the signal at the rate, at once just before it, and from then on at the rate."""
BURST_SECONDS = 0.1
"""From the burst to the signal: some of it is then judged, some is under way."""


async def killed(peer: StreamPeer, scans: Scans, at_most: float | None) -> list[Figure]:
    """Kill it in the middle of a burst and start it again at once."""
    return await _interrupted(peer, scans, peer.kill, "SIGKILL", what="kill -9 and restart", at_most=at_most)


async def terminated(peer: StreamPeer, scans: Scans, at_most: float | None) -> list[Figure]:
    """Stop it in order in the middle of a burst and start it again at once."""
    return await _interrupted(peer, scans, peer.terminate, "SIGTERM", what="SIGTERM and restart", at_most=at_most)


async def _interrupted(
    peer: StreamPeer,
    scans: Scans,
    interrupt: Callable[[], Awaitable[bool | None]],
    signal: str,
    *,
    what: str,
    at_most: float | None,
) -> list[Figure]:
    taken = scans.take(BEFORE + BURST + AFTER, signal)
    before, burst, after = taken[:BEFORE], taken[BEFORE : BEFORE + BURST], taken[BEFORE + BURST :]
    loop = asyncio.get_running_loop()
    sent: dict[str, float] = {}
    await send_all(peer, before, sent, rate=RATE)
    await send_all(peer, burst, sent, rate=None)
    await asyncio.sleep(BURST_SECONDS)
    signalled = loop.time()
    meanwhile = asyncio.create_task(send_all(peer, after, sent, rate=RATE))
    obeyed = await interrupt()
    await peer.start()
    ready = loop.time()
    await meanwhile
    await settled(peer, sent)
    found = tally(sent, peer.answers)
    early = sum(sent[i] < signalled for i in found.lost)
    down = sum(signalled <= sent[i] < ready for i in found.lost)
    disobeyed = (
        f", which it did not obey within {PATIENCE_SECONDS:g} s, so that it was killed" if obeyed is False else ""
    )
    method = (
        f"{peer.setting}; {len(sent)} frames at {RATE:g}/s, {BURST} of them at once {BURST_SECONDS:g} s before "
        f"{signal}{disobeyed}, started again at once and ready {ready - signalled:.1f} s after the signal, sending "
        f"goes on meanwhile; of the lost {early} were sent before the signal, {down} from then until it was ready; "
        f"counted when all had an answer or {QUIET_SECONDS:g} s after the last one"
    )
    return counts(peer.name, what, found, method, at_most)


async def poisoned(peer: StreamPeer, scans: Scans, at_most: float | None) -> list[Figure]:
    """Put records that cannot be read between frames that can, all sent at once."""
    taken = scans.take(3 * BURST, "poison")
    (bait,) = scans.take(1, "bait")
    log_size = peer.log_file.stat().st_size
    sent: dict[str, float] = {}
    bad = peer.poison(bait)
    await asyncio.gather(
        send_all(peer, taken[:BURST], sent, rate=None),
        *(send() for send in bad),
        send_all(peer, taken[BURST : 2 * BURST], sent, rate=None),
    )
    await send_all(peer, taken[2 * BURST :], sent, rate=RATE)
    await settled(peer, sent)
    kept = {a.frame_id for a in peer.answers if a.frame_id.startswith(bait.frame.frame_id)}
    lines = errors(peer.log_file, log_size)
    said = f"; the last error in its log: `{lines[-1]}`" if lines else ""
    method = (
        f"{peer.setting}; {len(bad)} records (no image, no value, a header that is no text) among {2 * BURST} frames "
        f"sent at once, then {BURST} frames at {RATE:g}/s; a header that nobody reads may be judged all the same{said}"
    )
    return [
        *counts(peer.name, "poison", tally(sent, peer.answers), method, at_most),
        measured(
            f"{peer.name}: poison, bad records without a judgement or a dead letter",
            len(bad) - len(kept),
            "records",
            method,
            at_most=at_most,
        ),
    ]


def counts(name: str, what: str, found: Tally, method: str, at_most: float | None) -> list[Figure]:
    """Return what became of frames as figures."""
    return [
        measured(f"{name}: {what}, frames lost", len(found.lost), "frames", method, at_most=at_most),
        measured(f"{name}: {what}, frames judged twice", len(found.twice), "frames", method, at_most=at_most),
        measured(f"{name}: {what}, frames refused", len(found.refused), "frames", method, at_most=at_most),
    ]


_LOGGED = re.compile(r"ERROR.*")
_PATHS = re.compile(r"(/[^\s/'\"]+){2,}")


def errors(log: Path, since: int) -> list[str]:
    """Return what a log says of errors after a position in bytes, without folders and as a cell of a table."""
    with log.open("rb") as file:
        file.seek(since)
        text = file.read().decode(errors="replace")
    found = (_PATHS.sub("...", match[0])[:160] for match in _LOGGED.finditer(text))
    return [line.replace("|", "/").replace("`", "'") for line in found]
