"""How many inputs were tried, and how many examples a property test is to try."""

import json
import os
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings

EXAMPLES = "FUZZ_EXAMPLES"
_FEW = 40


def examples(share: float = 1.0) -> settings:
    """Few and always the same ones, unless the environment asks for more."""
    asked = os.environ.get(EXAMPLES)
    return settings(
        max_examples=max(1, round((int(asked) if asked else _FEW) * share)),
        derandomize=asked is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


class Tally:
    """Inputs tried for each target, and how many of them were valid."""

    def __init__(self) -> None:
        self._tried: Counter[str] = Counter()
        self._valid: Counter[str] = Counter()

    def add(self, target: str, *, valid: bool) -> None:
        self._tried[target] += 1
        self._valid[target] += int(valid)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({name: [self._tried[name], self._valid[name]] for name in self._tried}))
