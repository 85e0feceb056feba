"""``python -m learner.app``: reads the settings, runs the node, writes a checkpoint on SIGTERM and SIGINT."""

import argparse
import asyncio
import os
import random
import signal
from collections.abc import Sequence
from datetime import UTC, datetime

from stream.logs import configure_logging


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the learner process until it is told to stop, or rebuild its memory and end."""
    parser = argparse.ArgumentParser(prog="python -m learner.app", description="Learns labels; see the settings.")
    parser.add_argument(
        "--rebuild-memory",
        action="store_true",
        help="forget the memory, read it anew from the labels topic without training, and end",
    )
    options = parser.parse_args(arguments)
    # Read when numpy and torch are imported, hence before the parts are: torch's own threads are a setting.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    asyncio.run(_run(rebuild=options.rebuild_memory))


async def _run(*, rebuild: bool) -> None:
    from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

    from learner.node import LearnerNode
    from learner.settings import LearnerSettings

    settings = LearnerSettings()
    configure_logging(settings.log_level)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    node = LearnerNode(settings, registry, random.Random(), lambda: datetime.now(UTC))  # noqa: S311 - jitter only
    if rebuild:
        await node.rebuild()
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    await node.run()


if __name__ == "__main__":
    main()
