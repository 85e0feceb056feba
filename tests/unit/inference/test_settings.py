import pytest
from pydantic import BaseModel, ValidationError

from inference.settings import InferenceSettings, ServingSettings


def test_every_field_is_described() -> None:
    def undescribed(model: type[BaseModel], path: str = "") -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) and path.count(".") < 1:
                found += undescribed(field.annotation, f"{path}{name}.") if name != "classes" else []
            elif not field.description:
                found.append(f"{path}{name}")
        return found

    assert undescribed(InferenceSettings) == []


def test_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELDSTREAM_SERVING__MAX_BATCH", "3")
    monkeypatch.setenv("WELDSTREAM_KAFKA__TOPIC_PREFIX", "x.")
    settings = InferenceSettings()
    assert (settings.serving.max_batch, settings.kafka.topic_prefix) == (3, "x.")


def test_a_misspelt_field_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELDSTREAM_SERVING__MAX_BACH", "3")
    with pytest.raises(ValidationError):
        InferenceSettings()


@pytest.mark.parametrize("fields", [{"role": "shadow"}, {"output_suffix": "-x"}])
def test_a_shadow_and_only_a_shadow_has_a_suffix(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="output_suffix"):
        ServingSettings.model_validate(fields)


def test_a_shadow_has_a_group_of_its_own() -> None:
    assert ServingSettings(role="shadow", output_suffix="-x").group != ServingSettings().group
