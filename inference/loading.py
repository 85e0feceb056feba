"""From a version of the registry to files on this disk, and to a session that judges."""

from pathlib import Path
from typing import Protocol, Self

from inference.session import ModelSession, SessionLoader
from memory.artifacts import ArtifactStore
from memory.registry import ModelRegistry, open_registry
from schemas.events import Artifact, ModelVersion
from schemas.settings import RegistrySettings

_SHAPE = (256, 256)


class Artifacts(Protocol):
    """Where model files come from."""

    def open_local(self, artifact: Artifact) -> Path:
        """Return the path of a local copy whose bytes were verified against the digest."""


def fetch(artifacts: Artifacts, version: ModelVersion) -> tuple[Path, Path]:
    """Return verified local copies of a version's graph and weights. Blocking.

    Raises
    ------
    WeldstreamError
        If one of them cannot be had, or is not what the version names.
    """
    return artifacts.open_local(version.graph), artifacts.open_local(version.weights)


class Versions:
    """Loads versions of the registry for whoever judges again what was judged; keeps the last one. Blocking.

    Parameters
    ----------
    registry : ModelRegistry
        Says what a version is made of.
    artifacts : Artifacts
        Where the files come from.
    loader : SessionLoader
        Builds sessions.
    """

    def __init__(self, registry: ModelRegistry, artifacts: Artifacts, loader: SessionLoader) -> None:
        self.registry = registry
        self._artifacts = artifacts
        self._loader = loader
        self._last: tuple[int, ModelSession] | None = None

    @classmethod
    def of(cls, settings: RegistrySettings, cache: Path) -> Self:
        """Build it from settings; verified copies are kept in the folder ``cache``.

        Raises
        ------
        KeyFileError
            If no key is trusted.
        """
        artifacts = ArtifactStore(settings.uri, settings.options, cache_dir=cache)
        return cls(open_registry(settings), artifacts, SessionLoader(1, _SHAPE))

    def session(self, number: int) -> ModelSession:
        """Return a version's session.

        Raises
        ------
        WeldstreamError
            If there is no such version, or it cannot be loaded.
        """
        if self._last is None or self._last[0] != number:
            version = self.registry.get(number)
            self._last = number, self._loader.load(version, *fetch(self._artifacts, version))
        return self._last[1]
