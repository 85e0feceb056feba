"""Settings from files, each named like the variable that it stands for: how orchestrators hand over secrets."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource

from schemas.errors import PrerequisiteError

SECRETS_DIR = "SECRETS_DIR"


def chosen_folder(arguments: Mapping[str, Any], variable: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of secrets that an argument names, else a variable; None where neither does."""
    chosen = arguments.get(SECRETS_DIR.lower()) or environ.get(variable)
    return Path(chosen) if chosen else None


class SecretFiles(EnvSettingsSource):
    """Reads files as if they were variables.

    A file named ``WELDSTREAM_KAFKA__SASL_PASSWORD`` holds the value of that
    variable; white space at its end does not count. Other names are left
    alone, as other variables are.

    Parameters
    ----------
    settings_cls : type of BaseSettings
        What is filled; its prefix and delimiter are used.
    folder : Path
        Where the files are.

    Raises
    ------
    PrerequisiteError
        If the folder does not exist or a file cannot be read: a process that
        was given secrets must not go on without them.
    """

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        self._folder = folder
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        try:
            files = sorted(path for path in self._folder.iterdir() if path.is_file())
            wanted = [path for path in files if path.name.lower().startswith(self.env_prefix.lower())]
            return {path.name.lower(): path.read_text("utf-8").rstrip() for path in wanted}
        except OSError as error:
            raise PrerequisiteError(f"secrets cannot be read: {error.filename}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            # Without its cause, which quotes what it could not read.
            raise PrerequisiteError(f"secrets in {self._folder} are not UTF-8 text: {error.reason}") from None
