"""How soon a change of domain that nobody names is found, and how often one is found that is none."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from benchmarks.figures import Figure, measured
from learner.hidden_changes import HiddenChanges
from learner.labels import Label
from learner.settings import DomainSettings
from memory.samples import Sample
from stream.preprocessing import Pixels
from stream.records import Headers
from stream.simulator.domains import DOMAINS
from stream.simulator.source import SimulatorSource

FRAMES_PER_WELD = 8
BEFORE, AFTER = 160, 160


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    topic: str = "labels"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()


def hidden_change_figures(seeds: int = 6) -> list[Figure]:
    """Scan each of the simulator's domains with some seeds; each stands for itself, and goes over into each other."""
    scans = {(domain, seed): _scans(domain, seed) for domain in range(len(DOMAINS)) for seed in range(seeds)}
    false = [bool(openings(frames)) for frames in scans.values()]
    pairs = [(a, b) for a in range(len(DOMAINS)) for b in range(len(DOMAINS)) if a != b]
    found = [
        openings([*scans[a, seed][:BEFORE], *scans[b, (seed + 1) % seeds][:AFTER]])
        for seed in range(seeds)
        for a, b in pairs
    ]
    exact = [opened[0] - BEFORE for opened in found if len(opened) == 1 and opened[0] >= BEFORE]
    method = (
        f"{len(found)} streams of {BEFORE} labels of one of the simulator's domains, then {AFTER} of another under the "
        f"same name, {FRAMES_PER_WELD} frames a weld, settings as by default, by what the frames show alone"
    )
    return [
        measured(
            "hidden changes: stationary streams that opened a domain",
            sum(false) / len(false),
            "",
            f"{len(false)} streams of {BEFORE + AFTER} labels",
            at_most=0.05,
        ),
        measured(
            "hidden changes: those that opened exactly one domain", len(exact) / len(found), "", method, at_least=0.9
        ),
        measured(
            "hidden changes: labels until one is found", statistics.median(exact), "labels", f"median of {method}"
        ),
    ]


def openings(frames: Sequence[Pixels]) -> list[int]:
    """Return at which frames of a stream under one name a domain was opened."""
    changes, now = HiddenChanges(DomainSettings()), datetime.fromtimestamp(0, UTC)
    names = []
    for offset, pixels in enumerate(frames):
        sample = Sample(f"label-{offset}", "one", "weld", pixels, np.zeros(pixels.shape, np.uint8))
        names.append(changes.placed(Label(sample, _Record(offset), "nobody", now, now)).sample.domain)
    return [at for at in range(1, len(names)) if names[at] != names[at - 1]]


def _scans(domain: int, seed: int) -> list[Pixels]:
    welds = (BEFORE + AFTER) // FRAMES_PER_WELD
    source = SimulatorSource([DOMAINS[domain]], seed=seed, welds=welds, frames_per_weld=FRAMES_PER_WELD)
    return [scan.pixels for scan in source]
