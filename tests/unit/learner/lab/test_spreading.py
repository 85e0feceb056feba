import importlib.util
import os
import time

import pytest

from learner.lab.errors import BadExperimentError
from learner.lab.spreading import Workers, spread
from schemas.errors import PrerequisiteError


def late(number: int, seconds: float) -> tuple[int, int]:
    time.sleep(seconds)
    return number, os.getpid()


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky", "multiprocessing"])
def test_every_call_is_made_once(backend: str) -> None:
    calls = [(late, (i, 0.0)) for i in range(5)]
    found = list(spread(calls, Workers(count=2, backend=backend)))
    assert sorted(number for number, _ in found) == [0, 1, 2, 3, 4]
    assert (os.getpid() in {process for _, process in found}) == (backend in {"sequential", "threading"})


def test_what_ends_first_comes_first() -> None:
    calls = [(late, (0, 1.0)), (late, (1, 0.0))]
    assert [number for number, _ in spread(calls, Workers(count=2, backend="threading"))] == [1, 0]


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(BadExperimentError, match="loky"):
        Workers(backend="slurm")


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_clusters_package_is_named(backend: str, package: str) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(PrerequisiteError, match=f"pip install {package}"):
        list(spread([(late, (0, 0.0))], Workers(backend=backend)))
