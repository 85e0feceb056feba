"""How many inputs were tried, and how many examples a property test is to try."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings

EXAMPLES = "FUZZ_EXAMPLES"
_FEW = 40


def examples(share: float = 1.0, asked_share: float | None = None) -> settings:
    """Few and always the same ones, unless the environment asks for more; a share of either."""
    asked = os.environ.get(EXAMPLES)
    if asked and asked_share is not None:
        share = asked_share
    return settings(
        max_examples=max(1, round((int(asked) if asked else _FEW) * share)),
        derandomize=asked is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


class Tally:
    """Inputs tried for each target, how many of them were valid, and which targets broke their promise."""

    def __init__(self) -> None:
        self._tried: Counter[str] = Counter()
        self._valid: Counter[str] = Counter()
        self._broken: set[str] = set()

    def check(self, target: str, check: Callable[[bytes], bool], data: bytes) -> None:
        self._tried[target] += 1
        try:
            self._valid[target] += check(data)
        except BaseException:
            self._broken.add(target)
            raise

    def write(self, path: Path) -> None:
        """Write for each target: inputs tried, inputs valid, whether it was broken."""
        rows = {name: [tried, self._valid[name], int(name in self._broken)] for name, tried in self._tried.items()}
        path.write_text(json.dumps(rows))
