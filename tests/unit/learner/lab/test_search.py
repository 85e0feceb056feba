from pathlib import Path

import pytest

from learner.lab.presets import method_named
from learner.lab.search import AVALANCHE_SPACES, SPACES, Budget, changed, search, searched, space
from learner.lab.settings import AvalancheConfig, Experiment, Job, Method, OptimizerConfig, Schedule
from learner.lab.spreading import Workers
from learner.lab.streams import DigitsConfig, TilesConfig

OPTIMIZER = OptimizerConfig(learning_rate=0.02)
HERE = Workers(count=1, backend="sequential")


def method(kind: str) -> Method:
    return method_named(kind, samples=50, draw=10, optimizer=OPTIMIZER)


@pytest.mark.parametrize("kind", SPACES)
def test_what_is_searched_are_settings_that_a_strategy_has(kind: str) -> None:
    own = method(kind)
    for name, (low, high) in SPACES[kind].items():
        assert low < getattr(own.strategy, name) < high
    other = changed(own, dict.fromkeys(space(own), 0.123))
    assert other.optimizer.learning_rate == 0.123
    assert all(getattr(other.strategy, name) == 0.123 for name in SPACES[kind])
    assert (other.memory, other.name) == (own.memory, own.name)


@pytest.mark.parametrize("name", AVALANCHE_SPACES)
def test_avalanches_settings_are_options(name: str) -> None:
    own = Method(name=name, strategy=AvalancheConfig(strategy=name, options={"kept": 1}))
    other = changed(own, dict.fromkeys(space(own), 0.5)).strategy
    assert isinstance(other, AvalancheConfig)
    assert other.options == {"kept": 1, **dict.fromkeys(AVALANCHE_SPACES[name], 0.5)}


def test_a_search_is_no_worse_than_what_it_begins_with() -> None:
    tried: list[float] = []
    job = Job(stream=DigitsConfig(), method=method("replay"), schedule=Schedule(batch_size=20))
    found = search(job, Budget(trials=4, domains=2), tried.append)
    assert len(tried) == found.trials == 4
    assert found.score == max(tried) > tried[0]
    assert found.method.optimizer.learning_rate != 0.02


def test_what_was_searched_is_read(tmp_path: Path) -> None:
    wanted = Experiment(methods=(method("si"),), schedule=Schedule(batch_size=20, iterations=5))
    budget = Budget(trials=2, domains=2)
    first = searched(wanted, budget, tmp_path, HERE)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    assert searched(wanted, budget, tmp_path, HERE) == first
    assert path.stat().st_mtime_ns == before
    searched(wanted, Budget(trials=3, domains=2), tmp_path, HERE)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_stream_whose_domains_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be searched"):
        search(Job(stream=TilesConfig(), method=method("replay")), Budget(trials=1))
