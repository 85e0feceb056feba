"""A table: what is run, and what of it is a figure with a bar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure, measured
from learner.lab.metrics import mean_and_error
from learner.lab.results import Result, scores
from learner.lab.search import Budget
from learner.lab.settings import Experiment


@dataclass(frozen=True, slots=True)
class Scores:
    """One score of a method on a stream over the seeds, in percent."""

    mean: float
    error: float

    @property
    def known_error(self) -> float:
        """The standard error, 0 where one seed tells none."""
        return 0.0 if self.error != self.error else self.error


class Book:
    """Looks results of an experiment up by stream and method.

    Parameters
    ----------
    results : sequence of Result
        Of one experiment.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = list(results)

    def of(self, method: str, stream: str, score: str = "average") -> Scores | None:
        """Return a score in percent, None where nothing was measured."""
        found = list(self._by_seed(method, stream, score).values())
        if not found:
            return None
        mean, error = mean_and_error(found)
        return Scores(100 * mean, 100 * error)

    def gain(self, method: str, other: str, stream: str, score: str = "average") -> Scores | None:
        """Return how far a score of a method is above another's, in points, over the seeds that both have."""
        pairs = [self._by_seed(name, stream, score) for name in (method, other)]
        found = [pairs[0][seed] - pairs[1][seed] for seed in pairs[0].keys() & pairs[1].keys()]
        if not found:
            return None
        mean, error = mean_and_error(found)
        return Scores(100 * mean, 100 * error)

    def _by_seed(self, method: str, stream: str, score: str) -> dict[int, float]:
        return {
            r.job.seed: value
            for r in self._results
            if r.job.method.name == method and r.job.stream.name == stream
            if (value := scores(r).get(score)) is not None
        }

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in order."""
        return list(dict.fromkeys(r.job.method.name for r in self._results))

    @property
    def streams(self) -> list[str]:
        """Names of the streams, in order."""
        return list(dict.fromkeys(r.job.stream.name for r in self._results))

    def seeds(self, method: str, stream: str) -> int:
        """Return the number of runs."""
        return sum(r.job.method.name == method and r.job.stream.name == stream for r in self._results)


Judge = Callable[[Book], Sequence[Figure]]


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes
    ----------
    key, title : str
        For programs and for people.
    experiment : Experiment
        What is run.
    judges : sequence of Judge
        Make figures of the results, after those of every method's average.
    budget : Budget or None
        Search hyper-parameters first, for every method alike.
    text : str
        What a reader must know.
    """

    key: str
    title: str
    experiment: Experiment
    judges: Sequence[Judge] = ()
    budget: Budget | None = None
    text: str = ""
    also: Sequence[str] = field(default=())

    def figures(self, results: Sequence[Result]) -> list[Figure]:
        """Return the figures of the results."""
        book = Book(results)
        schedule = self.experiment.schedule
        much = f"{schedule.iterations} iterations" if schedule.iterations else f"{schedule.epochs} epochs"
        made: list[Figure] = [figure for judge in self.judges for figure in judge(book)]
        barred = {figure.figure for figure in made}
        for stream in book.streams:
            for method in book.methods:
                for score in ("average", *self.also):
                    name = self.name(stream, method, score)
                    found = book.of(method, stream, score)
                    if found is None or name in barred:
                        continue
                    seeds = book.seeds(method, stream)
                    error = f", standard error {found.error:.2f}" if seeds > 1 else ""
                    how = f"{seeds} seeds{error}; batch {schedule.batch_size}, {much}, "
                    made.append(measured(name, found.mean, "%", f"{how}{schedule.steps_per_batch} steps a batch"))
        return [Figure(f"{self.title}: {f.figure}", f.value, f.unit, f.bar, f.passed, f.method) for f in made]

    @staticmethod
    def name(stream: str, method: str, score: str = "average") -> str:
        """Return the name of a figure within its table."""
        return f"{stream}, {method}" if score == "average" else f"{stream}, {method}, {score}"
