"""How many frames a core simulates."""

import time

from stream.simulator import DOMAINS, simulate_weld

FRAMES_PER_WELD = 24
OVERALL = "all domains"


def frames_per_second(seconds: float = 5.0) -> dict[str, float]:
    """Return frames/s of 256 x 256 for each domain by its procedure, and over all as ``"all domains"``.

    Processor time of this process; what is computed once for a domain is not counted.
    """
    rates, frames_all, spent_all = {}, 0, 0.0
    for spec in DOMAINS:
        next(simulate_weld(spec, seed=0, frames=1, weld_id="warm-up"))
        frames, weld, began = 0, 0, time.process_time()
        while time.process_time() - began < seconds / len(DOMAINS):
            frames += sum(1 for _ in simulate_weld(spec, seed=(1, weld), frames=FRAMES_PER_WELD, weld_id="w"))
            weld += 1
        spent = time.process_time() - began
        rates[spec.procedure] = frames / spent
        frames_all, spent_all = frames_all + frames, spent_all + spent
    return rates | {OVERALL: frames_all / spent_all}
