"""``python -m inference.app``: reads the settings, runs the node, drains on SIGTERM and SIGINT."""

import asyncio
import gc
import os
import random
import signal
import sys
from datetime import UTC, datetime

from inference.settings import InferenceSettings
from stream.logs import configure_logging


def main() -> None:
    """Run the inference process until it is told to stop."""
    # Frames are small: threads inside numpy would only take the core on which the model runs.
    # Read when numpy is imported, hence before the parts are.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # A model run that ends waits this long for the interpreter; the default of 5 ms is a sixth of a run.
    sys.setswitchinterval(0.0005)
    settings = InferenceSettings()
    configure_logging(settings.log_level)
    from inference.tuning import set_up_heap, wake_at_once

    set_up_heap()
    wake_at_once()
    asyncio.run(_run(settings))


async def _run(settings: InferenceSettings) -> None:
    from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

    from inference.node import InferenceNode

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    node = InferenceNode(settings, registry, random.Random(), lambda: datetime.now(UTC))  # noqa: S311 - jitter only
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    # What was imported stays: a collection after a swap then takes milliseconds less.
    gc.collect()
    gc.freeze()
    await node.run()


if __name__ == "__main__":
    main()
