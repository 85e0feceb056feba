"""Where settings come from, and that secrets stay where they are."""

import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from inference.settings import InferenceSettings
from learner.settings import LearnerSettings
from schemas.errors import PrerequisiteError

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WELDSTREAM_SECRETS_DIR", str(tmp_path))
    return tmp_path


def told(error: BaseException) -> str:
    """Everything that an interpreter prints of it."""
    return "".join(traceback.format_exception(error))


def test_a_file_stands_for_the_variable_it_is_named_like(secrets: Path) -> None:
    (secrets / "WELDSTREAM_KAFKA__SASL_PASSWORD").write_text(f"{SECRET}\n")
    (secrets / "weldstream_redis__password").write_text("other")
    settings = LearnerSettings()
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == SECRET
    assert settings.redis.password is not None
    assert settings.redis.password.get_secret_value() == "other"
    assert settings.secrets_dir == secrets


def test_sections_are_put_together_from_both_and_a_variable_comes_first(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "WELDSTREAM_KAFKA__SASL_PASSWORD").write_text(SECRET)
    (secrets / "WELDSTREAM_KAFKA__SASL_USERNAME").write_text("from-the-file")
    monkeypatch.setenv("WELDSTREAM_KAFKA__SASL_USERNAME", "from-the-variable")
    kafka = InferenceSettings().kafka
    assert kafka.sasl_username == "from-the-variable"
    assert kafka.sasl_password is not None


def test_other_files_and_folders_are_left_alone(secrets: Path) -> None:
    (secrets / "README").write_bytes(b"\xff")
    (secrets / "..data").mkdir()
    assert InferenceSettings().kafka.sasl_password is None


def test_an_argument_names_the_folder_too(tmp_path: Path) -> None:
    (tmp_path / "WELDSTREAM_KAFKA__SASL_PASSWORD").write_text(SECRET)
    assert InferenceSettings(secrets_dir=tmp_path).kafka.sasl_password is not None


def test_a_folder_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELDSTREAM_SECRETS_DIR", "/nowhere/at/all")
    with pytest.raises(PrerequisiteError, match="/nowhere/at/all: No such file"):
        InferenceSettings()


def test_a_file_that_is_no_text_is_an_error_and_not_quoted(secrets: Path) -> None:
    (secrets / "WELDSTREAM_KAFKA__SASL_PASSWORD").write_bytes(SECRET.encode() + b"\xff")
    with pytest.raises(PrerequisiteError, match="not UTF-8") as caught:
        InferenceSettings()
    assert SECRET not in told(caught.value)


def test_a_misspelt_file_is_an_error(secrets: Path) -> None:
    (secrets / "WELDSTREAM_KAFKA__SASL_PASSWRD").write_text(SECRET)
    with pytest.raises(ValidationError, match="sasl_passwrd") as caught:
        InferenceSettings()
    assert SECRET not in told(caught.value)


def test_settings_do_not_show_what_is_secret(secrets: Path) -> None:
    (secrets / "WELDSTREAM_KAFKA__SASL_PASSWORD").write_text(SECRET)
    (secrets / "WELDSTREAM_REDIS__PASSWORD").write_text(SECRET)
    (secrets / "WELDSTREAM_REDIS__URL").write_text(f"redis://user:{SECRET}@127.0.0.1:6379/0")
    settings = LearnerSettings()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "sasl_password" in shown
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WELDSTREAM_KAFKA", f'{{"sasl_password": "{SECRET}", "nonsense": 1}}'),
        ("WELDSTREAM_KAFKA", f'{{"sasl_password": ["{SECRET}"]}}'),
        ("WELDSTREAM_KAFKA", f'{{"sasl_password": "{SECRET}"'),
        ("WELDSTREAM_KAFKA", f'"{SECRET}"'),
        ("WELDSTREAM_KAFKA__SECURITY_PROTOCOL", SECRET),
        ("WELDSTREAM_KAFKA__REPLICATION_FACTOR", SECRET),
        ("WELDSTREAM_REDIS", f'{{"url": ["{SECRET}"]}}'),
        ("WELDSTREAM_REDIS", f'{{"password": "{SECRET}", "key_prefix": 1}}'),
        ("WELDSTREAM_INTAKE__MAX_PENDING", "1"),
    ],
)
def test_errors_do_not_repeat_what_was_given(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELDSTREAM_KAFKA__SASL_USERNAME", "user")
    monkeypatch.setenv("WELDSTREAM_REDIS__USERNAME", "user")
    # An error of the whole settings would show all of them.
    monkeypatch.setenv("WELDSTREAM_BOOTSTRAP__CACHE_DIR", SECRET)
    monkeypatch.setenv(variable, value)
    with pytest.raises((ValidationError, SettingsError)) as caught:
        LearnerSettings()
    assert SECRET not in told(caught.value)
    assert variable.removeprefix("WELDSTREAM_").split("__")[0].lower() in told(caught.value).lower()
