import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from learner.lab.commands import app
from learner.lab.errors import BadExperimentError
from learner.lab.presets import STREAMS, has_masks, method_named, stream_named
from learner.lab.runner import run
from learner.lab.settings import AvalancheConfig, Experiment, Job, Method, OptimizerConfig, Schedule
from learner.lab.streams import DigitsConfig
from learner.strategies.fine_tuning import FineTuningConfig
from schemas.errors import PrerequisiteError

RUNNER = CliRunner()


def test_help_shows_before_it_tells() -> None:
    text = RUNNER.invoke(app, ["--help"]).output
    assert text.index("weldstream lab run") < text.index("Options")


def test_what_is_shown_can_be_run(tmp_path: Path) -> None:
    shown = RUNNER.invoke(app, ["show", "--method", "replay", "--stream", "split-digits"])
    assert shown.exit_code == 0
    wanted = json.loads(shown.output)
    wanted["schedule"]["iterations"] = 2
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(wanted))
    ran = RUNNER.invoke(app, ["run", str(path), "--out", str(tmp_path / "out"), "--backend", "sequential", "--board"])
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "out" / "report.html").exists()
    assert list((tmp_path / "out" / "board").rglob("events*"))


def test_an_unknown_stream_or_strategy_lists_those_there_are() -> None:
    with pytest.raises(BadExperimentError, match="rotated-mnist"):
        stream_named("rotated-fashion", Path())
    with pytest.raises(ValueError, match="fine_tuning"):
        method_named("magic", samples=1, draw=1, optimizer=OptimizerConfig())


def test_streams_of_classes_and_of_masks_are_not_mixed() -> None:
    answer = RUNNER.invoke(app, ["show", "--stream", "tiles", "--stream", "permuted-digits"])
    assert isinstance(answer.exception, BadExperimentError)
    shown = Experiment.model_validate_json(RUNNER.invoke(app, ["show", "--stream", "tiles"]).output)
    assert shown.network.kind == "segmenter"


def test_every_named_stream_survives_being_written() -> None:
    method = Method(name="m", strategy=FineTuningConfig())
    for name in STREAMS:
        stream = stream_named(name, Path("data"))
        job = Job(stream=stream, method=method)
        assert Job.model_validate_json(job.model_dump_json()) == job
        assert has_masks(stream) == (stream.kind in {"tiles", "simulator", "folder", "recorded"})


def test_releases_are_judged_on_what_is_held_out(tmp_path: Path) -> None:
    ran = RUNNER.invoke(
        app,
        ["run", "--method", "replay", "--releases", "100", "--out", str(tmp_path), "--backend", "sequential"],
    )
    assert ran.exit_code == 0, ran.output
    (stream,) = json.loads((tmp_path / "report.json").read_text())["streams"]
    assert {"served regret", "refused releases"} <= set(stream["columns"])


def test_an_offset_that_is_none_is_refused(tmp_path: Path) -> None:
    answer = RUNNER.invoke(app, ["record", str(tmp_path / "x"), "--from", "0"])
    assert answer.exit_code == 2
    assert "PARTITION:OFFSET" in answer.output


AVALANCHE = Job(
    stream=DigitsConfig(domains=2),
    method=Method(name="naive", strategy=AvalancheConfig(strategy="Naive")),
    schedule=Schedule(batch_size=50),
)


@pytest.mark.skipif(importlib.util.find_spec("avalanche") is not None, reason="avalanche-lib is installed")
def test_without_avalanche_its_extra_is_named() -> None:
    with pytest.raises(PrerequisiteError, match=r"weldstream\[avalanche\]"):
        run(AVALANCHE)


@pytest.mark.skipif(importlib.util.find_spec("avalanche") is None, reason="avalanche-lib is not installed")
@pytest.mark.filterwarnings("ignore")
def test_avalanches_naive_strategy_is_our_fine_tuning() -> None:
    ours = run(AVALANCHE.model_copy(update={"method": Method(name="ours", strategy=FineTuningConfig())}))
    theirs = run(AVALANCHE)
    assert theirs.matrix == ours.matrix
    assert theirs.steps == ours.steps


def test_what_avalanche_cannot_do_is_refused() -> None:
    with pytest.raises(BadExperimentError, match="iterations"):
        run(AVALANCHE.model_copy(update={"schedule": Schedule(iterations=3)}))
