"""``python -m inference.recaller``: after a roll-back, judges again what the versions taken back had judged."""

import asyncio
import os
import random
import signal
from datetime import UTC, datetime

from inference.recall_settings import RecallerSettings
from stream.logs import configure_logging


def main() -> None:
    """Run the process until it is told to stop."""
    settings = RecallerSettings()
    # What serves comes first: this one takes the processor only where nobody else wants it, and one core at most.
    os.nice(settings.recall.niceness)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    configure_logging(settings.log_level)
    asyncio.run(_run(settings))


async def _run(settings: RecallerSettings) -> None:
    from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

    from inference.recaller_node import RecallerNode

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    node = RecallerNode(settings, registry, random.Random(), lambda: datetime.now(UTC))  # noqa: S311 - jitter
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    await node.run()


if __name__ == "__main__":
    main()
