from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from learner.settings import HoldoutSettings, LearnerSettings
from learner.strategies.replay import ReplayConfig
from schemas.settings import Section


def test_every_field_of_a_section_is_described() -> None:
    def undescribed(model: type[BaseModel], path: str = "") -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if not field.description:
                found.append(f"{path}{name}")
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                found += undescribed(field.annotation, f"{path}{name}.")
        return found

    assert undescribed(LearnerSettings) == []


def test_what_is_not_set_has_a_default() -> None:
    settings = LearnerSettings()
    assert settings.holdout == HoldoutSettings(share=0.2, unit="weld", seed=0)
    assert settings.strategy == ReplayConfig()
    assert settings.checkpoint.folder == Path(".weldstream/learner")
    assert settings.bootstrap.cache_dir is None
    assert settings.kafka.topic_prefix == "weldstream."


def test_defaults_let_memory_and_gate_work_together() -> None:
    settings = LearnerSettings()
    assert settings.memory.validation_samples >= settings.evaluation.newest
    # Fewer frames than these in a set would let the gate pass everything.
    assert settings.evaluation.newest >= settings.gate.min_domain_samples
    assert settings.evaluation.past_per_domain >= settings.gate.min_domain_samples
    assert settings.evaluation.golden >= settings.gate.min_class_samples


def test_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "HOLDOUT__UNIT": "label",
        "MEMORY__SAMPLES": "17",
        "RELEASE__SECONDS": "0.5",
        "CHECKPOINT__FOLDER": "/somewhere/else",
        "TRAINER__CROPS__SIZE": "64",
        "STRATEGY__KIND": "replay",
        "KAFKA__TOPIC_PREFIX": "x.",
        "SEED": "3",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"WELDSTREAM_{name}", value)
    settings = LearnerSettings()
    assert (settings.holdout.unit, settings.memory.samples, settings.release.seconds) == ("label", 17, 0.5)
    assert settings.checkpoint.folder == Path("/somewhere/else")
    assert settings.trainer.crops.size == 64
    assert isinstance(settings.strategy, ReplayConfig)
    assert (settings.kafka.topic_prefix, settings.seed) == ("x.", 3)
    assert (
        settings.holdout.share == LearnerSettings.model_fields["holdout"].get_default(call_default_factory=True).share
    )


def test_what_the_program_passes_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELDSTREAM_HOLDOUT__SHARE", "0.4")
    assert LearnerSettings().holdout.share == 0.4
    assert LearnerSettings(holdout=HoldoutSettings(share=0.1)).holdout.share == 0.1


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("holdout", "share", -0.01),
        ("holdout", "share", 1.01),
        ("holdout", "unit", "frame"),
        ("intake", "group_id", ""),
        ("intake", "max_pending", 0),
        ("memory", "samples", 0),
        ("training", "replay_per_domain", -1),
        ("training", "steps_per_label", 0.0),
        ("training", "idle_steps_per_label", -0.5),
        ("training", "device", "tpu"),
        ("release", "seconds", 0.0),
        ("release", "rollback_margin", 1.5),
        ("gate", "domain_margin", -0.1),
        ("evaluation", "golden", -1),
        ("checkpoint", "keep", 0),
        ("bootstrap", "seconds", 0.0),
        ("bootstrap", "steps", 0),
        ("http", "port", 65536),
    ],
)
def test_a_value_without_a_meaning_is_refused(section: str, field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        LearnerSettings.model_validate({section: {field: value}})
    (error,) = caught.value.errors()
    assert error["loc"] == (section, field)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("holdout", "share", 0.0),
        ("holdout", "share", 1.0),
        ("training", "replay_per_domain", 0),
        ("training", "idle_steps_per_label", 0.0),
        ("evaluation", "golden", 0),
        ("memory", "samples", 1),
    ],
)
def test_a_bound_itself_is_accepted(section: str, field: str, value: float) -> None:
    settings = LearnerSettings.model_validate({section: {field: value}})
    assert getattr(getattr(settings, section), field) == value


@pytest.mark.parametrize("name", ["HOLDOUT__SHAER", "MEMORY__SAMPLES__MORE", "TRAINER__CROPS__SISE"])
def test_a_misspelt_field_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"WELDSTREAM_{name}", "3")
    with pytest.raises(ValidationError):
        LearnerSettings()


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match=r"'fine_tuning'.*'replay'.*'gem'"):
        LearnerSettings.model_validate({"strategy": {"kind": "magic"}})


def test_the_first_model_must_not_wait_for_more_labels_than_are_fetched() -> None:
    fits = {"intake": {"max_pending": 64}, "bootstrap": {"labels": 64}}
    assert LearnerSettings.model_validate(fits).bootstrap.labels == 64
    with pytest.raises(ValidationError, match="max_pending"):
        LearnerSettings.model_validate({**fits, "intake": {"max_pending": 63}})


def test_settings_do_not_change() -> None:
    settings = LearnerSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 4
    with pytest.raises(ValidationError, match="frozen"):
        settings.holdout.share = 0.5
