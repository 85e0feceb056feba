import pytest

from learner.lab.results import scores
from learner.lab.runner import run
from learner.lab.settings import EvaluationConfig, ReleaseConfig
from learner.release_gate import GateConfig
from tests.unit.learner.lab.test_runner import job

NO_JUDGING = EvaluationConfig(ahead=False)
STRICT = GateConfig(overall_margin=0.0, domain_margin=0.0)


def test_what_is_refused_as_a_whole_may_be_released_in_part() -> None:
    whole, parts = (
        run(job(evaluation=NO_JUDGING, releases=ReleaseConfig(every=10, gate=STRICT, fallbacks=shares)))
        for shares in ((), (0.5, 0.25))
    )
    assert whole.served is not None
    assert parts.served is not None
    assert whole.served.refused > 0
    assert parts.served.refused < whole.served.refused
    assert len(parts.served.versions) + parts.served.refused == len(whole.served.versions) + whole.served.refused


def test_losses_add_up_until_they_are_too_many() -> None:
    """A gate that lets each release lose a little lets ten lose much; what they lost together is bounded."""
    lax = GateConfig(overall_margin=0.1, domain_margin=0.1, class_margin=1.0)
    free, bounded = (
        run(job(evaluation=NO_JUDGING, releases=ReleaseConfig(every=4, gate=lax, regret=regret)))
        for regret in (None, 0.02)
    )
    assert scores(bounded)["served regret"] < scores(free)["served regret"] - 0.03
    assert bounded.served is not None
    assert free.served is not None
    assert bounded.served.refused > free.served.refused


def test_without_a_gate_all_is_released() -> None:
    result = run(job(evaluation=NO_JUDGING, releases=ReleaseConfig(every=10, gate=None, regret=0.0)))
    assert result.served is not None
    assert result.served.refused == 0
    assert scores(result)["served"] == pytest.approx(sum(result.served.versions[-1].scores) / 3)
