"""``make bench-peers``: the same against every system, one after another, in one run on one broker."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.figures import Figure, print_table, write_results
from benchmarks.page import page
from benchmarks.peers.bumps import BUMPS, agreeing, bumped
from benchmarks.peers.interruptions import killed, poisoned, terminated
from benchmarks.peers.load import ready_to_judge
from benchmarks.peers.mlserver_http import mlserver_http
from benchmarks.peers.mlserver_kafka import mlserver_kafka
from benchmarks.peers.models import write_self_contained
from benchmarks.peers.peer import Peer, StreamPeer
from benchmarks.peers.ray_serve import ray_serve
from benchmarks.peers.results import merged
from benchmarks.peers.scans import Scans, simulate
from benchmarks.peers.weldstream import weldstream
from benchmarks.serving import networks, publish_versions
from memory.artifacts import ArtifactStore
from memory.registry import open_registry
from stream.local import LocalStack
from stream.local.reaper import Reaper
from stream.topics import ensure_topics

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"

SYSTEMS = ("weldstream", "mlserver-kafka", "mlserver-kafka-reload", "mlserver-http", "ray")


class Comparison:
    """Runs systems one after another and keeps what was found.

    Parameters
    ----------
    scans : Scans
        Frames for all.
    console : Console
        Where figures are shown as they come.
    """

    def __init__(self, scans: Scans, console: Console) -> None:
        self._scans = scans
        self._console = console
        self._masks: list[tuple[str, str]] = []
        self.figures: list[Figure] = []

    async def stream(self, peer: StreamPeer, at_most: float | None = None) -> None:
        """Interrupt a system between two topics in every way, then give it new versions."""
        await self._begin(peer)
        for part in (killed, terminated, poisoned):
            await self._note(peer, part(peer, self._scans, at_most))
        await self._note(peer, bumped(peer, self._scans, 2, at_most))

    async def update(self, peer: Peer) -> None:
        """Give a system new versions."""
        await self._begin(peer)
        await self._note(peer, bumped(peer, self._scans, 2, None))

    async def _begin(self, peer: Peer) -> None:
        await peer.start()
        first = await ready_to_judge(peer, self._scans)
        self._masks.append((peer.name, first.mask_sha256))
        agreeing(self._masks)

    async def _note(self, peer: Peer, part: Awaitable[Sequence[Figure]]) -> None:
        found = await part
        self._console.print(f"measured: {peer.name}")
        print_table(found, self._console)
        self.figures += found


async def measure(systems: Sequence[str], console: Console) -> tuple[list[Figure], list[str]]:
    """Start a broker and measure systems on it; return the figures, and what could not be measured to the end."""
    with LocalStack() as stack, Reaper() as reaper:
        kafka = stack.kafka_settings
        await ensure_topics(kafka)
        registry = open_registry(stack.registry_settings, publishes=True)
        cache = stack.folder / "cache"
        artifacts = ArtifactStore(stack.registry_settings.uri, cache_dir=cache)
        versions = await asyncio.to_thread(publish_versions, registry, artifacts, networks(1 + BUMPS))
        folder = Path(tempfile.mkdtemp(dir=stack.folder))
        models = [write_self_contained(version, artifacts, folder) for version in versions]
        comparison = Comparison(simulate(), console)

        async def ours() -> None:
            async with weldstream(stack, registry) as peer:
                await peer.bump(1)
                await comparison.stream(peer, at_most=0)

        async def by_kafka() -> None:
            async with mlserver_kafka(folder / "kafka-new", models, kafka, in_place=False, reaper=reaper) as peer:
                await comparison.stream(peer)

        async def by_kafka_reloading() -> None:
            async with mlserver_kafka(folder / "kafka-reload", models, kafka, in_place=True, reaper=reaper) as peer:
                await comparison.update(peer)

        async def by_http() -> None:
            for in_place in (False, True):
                name = f"http-{'reload' if in_place else 'new'}"
                async with mlserver_http(folder / name, models, in_place=in_place, reaper=reaper) as peer:
                    await comparison.update(peer)

        async def by_ray() -> None:
            for redeploy in (False, True):
                async with ray_serve(folder, models, redeploy=redeploy, reaper=reaper) as peer:
                    await comparison.update(peer)

        parts: dict[str, Callable[[], Awaitable[None]]] = dict(
            zip(SYSTEMS, (ours, by_kafka, by_kafka_reloading, by_http, by_ray), strict=True)
        )
        failed = []
        for system in systems:
            try:
                await parts[system]()
            except Exception:
                # The others are measured all the same.
                logger.exception("%s could not be measured to the end", system)
                failed.append(system)
    return comparison.figures, failed


def main(arguments: Sequence[str]) -> int:
    """Measure, write, print; return the exit status."""
    parser = argparse.ArgumentParser(prog="make bench-peers")
    parser.add_argument("--only", action="append", choices=SYSTEMS, help="measure only this, and keep the other rows")
    chosen = parser.parse_args(arguments).only
    console = Console()
    figures, failed = asyncio.run(measure(chosen or SYSTEMS, console))
    write_results(merged(RESULTS / "peers.json", figures) if chosen else figures, RESULTS / "peers.json")
    PAGE.write_text(page(RESULTS))
    missed = [f.figure for f in figures if not f.passed]
    console.print(f"{len(figures)} figures, {len(missed)} missed" + (f": {', '.join(missed)}" if missed else ""))
    if failed:
        console.print(f"not measured to the end: {', '.join(failed)}")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
