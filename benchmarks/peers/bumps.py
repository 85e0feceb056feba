"""New versions under load: what they cost the frames, and how soon the new one judges."""

import asyncio
import contextlib
import statistics
from collections import Counter
from collections.abc import Sequence

from benchmarks.figures import Figure, measured
from benchmarks.peers.counting import first_of, latencies, mixed, p99, split, tally
from benchmarks.peers.interruptions import counts
from benchmarks.peers.load import RATE, send_all, settled
from benchmarks.peers.peer import Peer
from benchmarks.peers.scans import Scans

BUMPS = 5
STEADY_SECONDS = 15.0
SECONDS_BETWEEN = 4.0
AFTER_SECONDS = 1.0
"""A window reaches from the request to this long after the first answer of the new version, or its acknowledgement."""
PATIENCE_SECONDS = 20.0
MOST_SECONDS = 120.0


async def bumped(peer: Peer, scans: Scans, first: int, at_most: float | None) -> list[Figure]:
    """Put ``BUMPS`` versions in service one after another, beginning with ``first``, while frames stream."""
    taken = scans.take(int(MOST_SECONDS * RATE), "bump")
    sent: dict[str, float] = {}
    sending = asyncio.create_task(send_all(peer, taken, sent, rate=RATE))
    try:
        await asyncio.sleep(STEADY_SECONDS)
        windows, waits = await _versions(peer, range(first, first + BUMPS))
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
    await settled(peer, sent)
    found = tally(sent, peer.answers)
    steady, during = split(sent, latencies(sent, peer.answers), windows)
    two = len(mixed({scan.frame.frame_id: scan.frame.weld_id for scan in taken}, peer.answers))
    said = Counter(a.refused for a in peer.answers if a.frame_id in sent and a.refused)
    method = (
        f"{peer.setting}; {len(sent)} frames at {RATE:g}/s over {BUMPS} new versions, {len(during)} answered that were "
        f"sent between a request and {AFTER_SECONDS:g} s after the first answer of its version, {len(steady)} others"
        + (f"; the most frequent refusal: `{_cell(said.most_common(1)[0][0])}`" if said else "")
    )
    what = "version bump"
    return [
        *counts(peer.name, what, found, method, at_most),
        measured(f"{peer.name}: {what}, welds judged by two versions", two, "welds", method, at_most=at_most),
        measured(f"{peer.name}: {what}, p99 over its own steady p99", p99(during) / p99(steady), "", method),
        measured(f"{peer.name}: {what}, p50 steady", 1000 * statistics.median(steady), "ms", method),
        measured(f"{peer.name}: {what}, p99 steady", 1000 * p99(steady), "ms", method),
        measured(f"{peer.name}: {what}, request to first answer, median", statistics.median(waits), "s", method),
        measured(f"{peer.name}: {what}, request to first answer, worst", max(waits), "s", method),
    ]


async def _versions(peer: Peer, versions: Sequence[int]) -> tuple[list[tuple[float, float]], list[float]]:
    """Put versions in service; return each one's window, and the seconds until it first judged."""
    loop = asyncio.get_running_loop()
    windows: list[tuple[float, float]] = []
    waits: list[float] = []
    for version in versions:
        requested = loop.time()
        await peer.bump(version)
        done = await _first(peer, version)
        windows.append((requested, loop.time() + AFTER_SECONDS))
        waits.append(PATIENCE_SECONDS if done is None else done - requested)
        next_at = max(windows[-1][1] + AFTER_SECONDS, requested + SECONDS_BETWEEN)
        await asyncio.sleep(max(0.0, next_at - loop.time()))
    return windows, waits


async def _first(peer: Peer, version: int) -> float | None:
    """Return when a version first judged, None where it does not in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (at := first_of(version, peer.answers)) is None:  # noqa: ASYNC110 - answers are not announced
                await asyncio.sleep(0.02)
            return at
    return None


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/").replace("`", "'")


def agreeing(masks: Sequence[tuple[str, str]]) -> None:
    """Make sure that all systems drew the same mask of the same frame.

    Parameters
    ----------
    masks : sequence of (str, str)
        Name and digest of the mask.

    Raises
    ------
    ValueError
        If they differ: then they do not run the same model.
    """
    if len({digest for _, digest in masks}) > 1:
        raise ValueError(f"the systems do not judge alike: {dict(masks)}")
