import math

import numpy as np

from learner.lab.calls import Calls


def test_hits_and_false_calls_are_counted_by_indication() -> None:
    true = np.zeros((20, 20), np.uint8)
    true[2:5, 2:5] = 1
    true[5, 5] = 2  # touches by its corner: the same indication
    true[10:12, 10:12] = 1
    judged = np.zeros((20, 20), np.uint8)
    judged[4, 4] = 3  # a hit, whatever the class
    judged[4, 2] = 1  # a second call on the same flaw
    judged[17:19, 17:19] = 1  # a false call
    judged[0, 19] = 1  # another
    assert Calls.of(judged, true) == Calls(flaws=2, hits=1, false=2, frames=1)


def test_counts_add_up() -> None:
    clean = np.zeros((8, 8), np.uint8)
    flaw = clean.copy()
    flaw[3, 3] = 1
    total = Calls.of(flaw, clean) + Calls.of(flaw, flaw)
    assert (total.hit_rate, total.false_per_frame) == (1.0, 0.5)
    assert math.isnan(Calls.of(clean, clean).hit_rate)
