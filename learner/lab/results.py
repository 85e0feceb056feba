"""What a job found, as it is written."""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from learner.lab import metrics
from learner.lab.metrics import Look
from learner.lab.settings import Job


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Domain(_Part):
    """What the last network makes of a domain.

    Attributes
    ----------
    name : str
        The domain.
    train, test : int
        Samples learned and judged.
    dice, iou : tuple of float
        Of masks: each class, the background first. Empty for classes.
    hit_rate, false_calls_per_frame : float or None
        Of masks.
    """

    name: str
    train: int
    test: int
    dice: tuple[float, ...] = ()
    iou: tuple[float, ...] = ()
    hit_rate: float | None = None
    false_calls_per_frame: float | None = None


class LookRow(_Part):
    """A :class:`~learner.lab.metrics.Look` as it is written."""

    step: int
    domain: int
    scores: tuple[float, ...]
    ended: bool = False

    @classmethod
    def of(cls, look: Look) -> "LookRow":
        """Return a look to be written."""
        return cls(step=look.step, domain=look.domain, scores=tuple(look.scores), ended=look.ended)

    def look(self) -> Look:
        """Return the look that was written."""
        return Look(self.step, self.domain, self.scores, self.ended)


class Served(_Part):
    """What was served.

    Attributes
    ----------
    versions : tuple of LookRow
        Each version released, in order.
    refused : int
        Candidates that the gate refused.
    """

    versions: tuple[LookRow, ...]
    refused: int

    @property
    def refused_share(self) -> float:
        """Share of the candidates that were refused; NaN without one."""
        total = len(self.versions) + self.refused
        return self.refused / total if total else float("nan")


class Labels(_Part):
    """What became of a panel's labels: given, of them wrong, and set aside because of who gave them."""

    given: int
    wrong: int
    set_aside: int


class Result(_Part):
    """What a job found.

    Attributes
    ----------
    job : Job
        What was run.
    digest : str
        Of the job and its data.
    stream, classes, score : str, tuple of str, str
        Name of the stream and of its classes, and what the matrix holds:
        "accuracy" or "Dice".
    matrix : tuple of tuples
        R as in :mod:`learner.lab.metrics`; None where nothing was measured.
        Of "joint" only the last row is there.
    looks : tuple of LookRow
        What was judged within domains.
    served : Served or None
        What would have been served.
    labels : Labels or None
        Of a panel.
    domains : tuple of Domain
        What the last network makes of each.
    steps, samples : int
        Steps made, samples taken of the stream.
    seconds_per_step, seconds : float
        Median of a step with its draws and fills, judging left out; the whole job.
    domain_seconds : tuple of float
        Median of a step within each domain: later ones have more to replay.
    kept_bytes, resident_bytes : int
        What outlives a step; growth of the process's resident memory at its highest.
    diverged : str or None
        Why the job ended early: the matrix is then that of the weights before.
    environment : mapping of str to str
        What it was run with.
    """

    job: Job
    digest: str
    stream: str
    classes: tuple[str, ...]
    score: str
    matrix: tuple[tuple[float | None, ...], ...]
    looks: tuple[LookRow, ...] = ()
    served: Served | None = None
    labels: Labels | None = None
    domains: tuple[Domain, ...]
    steps: int
    samples: int
    seconds_per_step: float
    seconds: float
    domain_seconds: tuple[float, ...] = ()
    kept_bytes: int
    resident_bytes: int
    diverged: str | None = None
    environment: Annotated[dict[str, str], Field(default_factory=dict)]

    def array(self) -> metrics.Array:
        """Return the matrix, NaN where nothing was measured."""
        return np.array([[np.nan if x is None else x for x in row] for row in self.matrix], dtype=np.float64)

    def write(self, folder: Path) -> Path:
        """Write the result under its digest: all of it or nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.digest}.json"
        draft = path.with_suffix(".part")
        draft.write_text(self.model_dump_json(indent=1) + "\n")
        draft.replace(path)
        return path


def scores(result: Result) -> dict[str, float]:
    """Return every score of a result by its name; what does not apply is left out."""
    matrix = result.array()
    found = {"average": metrics.average(matrix)}
    if not np.isnan(matrix[1:-1]).all():
        found |= {
            "learning": metrics.learning(matrix),
            "forgetting": metrics.forgetting(matrix),
            "backward transfer": metrics.backward_transfer(matrix),
            "forward transfer": metrics.forward_transfer(matrix),
        }
    looks = [row.look() for row in result.looks]
    if looks and looks[-1].domain:
        found["min-ACC"] = metrics.min_accuracy(looks)
        found["WC-ACC"] = metrics.worst_case_accuracy(looks)
    if result.served is not None:
        found["served"] = float(np.mean(result.served.versions[-1].scores)) if result.served.versions else float("nan")
        found["served regret"] = metrics.served_regret([row.look() for row in result.served.versions])
        found["refused releases"] = result.served.refused_share
    hits = [d.hit_rate for d in result.domains if d.hit_rate is not None]
    calls = [d.false_calls_per_frame for d in result.domains if d.false_calls_per_frame is not None]
    if hits:
        found["hit rate"] = float(np.mean(hits))
    if calls:
        found["false calls per frame"] = float(np.mean(calls))
    return {name: value for name, value in found.items() if not np.isnan(value)}
