"""Spreads calls over processes of this machine, or over a cluster, by joblib's backends."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from learner.lab.errors import BadExperimentError
from schemas.errors import PrerequisiteError

T = TypeVar("T")

BACKENDS = ("loky", "sequential", "threading", "multiprocessing", "dask", "ray")
_ALL_AT_ONCE = ("multiprocessing", "ray")
"""Backends that give results back only when all are there."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Where jobs run.

    Attributes
    ----------
    count : int
        At once; by default one for each core of this machine.
    backend : str
        A backend of joblib: "loky" is processes of this machine, "sequential"
        the calling process. "dask" and "ray" need their own package and find
        their cluster by its own means (``DASK_SCHEDULER_ADDRESS``,
        ``RAY_ADDRESS``); without one they start one on this machine.
    threads : int
        Of torch, in each job.
    """

    count: int = os.cpu_count() or 1
    backend: str = "loky"
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what joblib does not know.

        Raises
        ------
        BadExperimentError
            If there is no such backend.
        """
        if self.backend not in BACKENDS:
            raise BadExperimentError(f"no backend {self.backend!r}; there are {', '.join(BACKENDS)}")


def spread(calls: Sequence[tuple[Callable[..., T], tuple[Any, ...]]], workers: Workers) -> Iterator[T]:
    """Make calls and yield what they return, as they end.

    Where a backend gives all results at once, the calls are made in rounds of
    as many as there are workers: no more than a round is lost when it breaks.

    Parameters
    ----------
    calls : sequence of (callable, arguments)
        What is called.
    workers : Workers
        Where.

    Raises
    ------
    PrerequisiteError
        If the backend's package is not installed.
    """
    from joblib import Parallel, delayed, parallel_config  # type: ignore[import-untyped]

    tasks = [delayed(function)(*arguments) for function, arguments in calls]
    with ExitStack() as stack:
        _prepare(workers.backend, stack)
        stack.enter_context(parallel_config(backend=workers.backend, n_jobs=workers.count))
        if workers.backend not in _ALL_AT_ONCE:
            yield from Parallel(return_as="generator_unordered", batch_size=1)(tasks)
            return
        for start in range(0, len(tasks), workers.count):
            yield from Parallel(batch_size=1)(tasks[start : start + workers.count])


def _prepare(backend: str, stack: ExitStack) -> None:
    """Make a cluster's backend known to joblib."""
    try:
        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        elif backend == "dask":
            from distributed import Client

            stack.enter_context(Client())
    except ModuleNotFoundError as error:
        package = "distributed" if backend == "dask" else backend
        if (error.name or "").partition(".")[0] != package:
            raise
        raise PrerequisiteError(
            f"the backend {backend!r} needs {package}, which is not installed: pip install {package}"
        ) from None
