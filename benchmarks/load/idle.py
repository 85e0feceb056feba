"""``python -m benchmarks.load.idle INTERVAL``: an event loop with nothing to do, probed as inference probes its own.

What it sees is the machine's: the system gave the processor to others. Ends when its input does, and prints the
longest stall of each quarter of a second, in seconds, as JSON.
"""

import asyncio
import json
import sys

from stream.loop_probe import LoopProbe


async def main(interval_seconds: float) -> None:
    """Probe until the input ends."""
    seen: list[float] = []
    probe = LoopProbe(lambda seconds, _: seen.append(seconds), lambda: False, interval_seconds=interval_seconds)
    probing = asyncio.create_task(probe.run())
    await asyncio.to_thread(sys.stdin.read)
    probing.cancel()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
