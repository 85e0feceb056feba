"""The versions of a model, what was announced of them, and what was refused."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from memory.files import AtomicFiles
from schemas.classes import ClassTable
from schemas.errors import WeldstreamError
from schemas.events import Artifact, GateVerdict, ModelReleased, ModelVersion, ReleaseKind
from schemas.judgements import ModelRef

T = TypeVar("T", bound=BaseModel)
_Numbers = list[int]  # inside the registry, `list` is its method


class RegistryError(WeldstreamError):
    """The registry has no such version, or nothing to return to."""

    reason = "registry"


class RefusedCandidate(BaseModel):
    """A candidate that the gate did not let through, kept with the numbers that decided it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: int | None
    verdict: GateVerdict
    labels_learned: int
    refused_at: AwareDatetime


def _now() -> datetime:
    return datetime.now(UTC)


class ModelRegistry:
    """The record of one model line; every entry is written once and never changed.

    Versions, announcements and refusals are numbered files. A number is taken
    by creating its file exclusively, so two writers never share one, and the
    newest announcement is by itself the pointer to what serves.

    All methods block and raise ServiceUnavailableError if the storage fails:
    call them from a thread (``asyncio.to_thread``).

    Parameters
    ----------
    uri : str
        Folder or fsspec URL of the registry.
    model_name : str
        The model line.
    options : mapping
        Passed to the fsspec file system.
    clock : callable
        Returns the time of an announcement or a refusal.
    """

    def __init__(
        self,
        uri: str,
        model_name: str,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        if model_name in {"", ".", ".."} or "/" in model_name:
            raise RegistryError(f"{model_name!r} cannot name a model")
        self._files = AtomicFiles(uri, options)
        self._name = model_name
        self._clock = clock

    def publish(
        self,
        *,
        graph: Artifact,
        weights: Artifact,
        parent: int | None,
        architecture: str,
        classes: ClassTable,
        preprocessing: str,
        size_multiple: int,
        labels_learned: int,
        labels_until: Mapping[int, int],
        metrics: Mapping[str, float],
        gate: GateVerdict | None,
        created_at: datetime,
    ) -> ModelVersion:
        """Record a version under the next number; its files must already be in the artifact store.

        The parameters are the fields of :class:`~schemas.events.ModelVersion`.
        """

        def entry(number: int) -> ModelVersion:
            return ModelVersion(
                model=ModelRef(name=self._name, version=number, digest=weights.sha256),
                parent=parent,
                graph=graph,
                weights=weights,
                architecture=architecture,
                classes=classes,
                preprocessing=preprocessing,
                size_multiple=size_multiple,
                labels_learned=labels_learned,
                labels_until=dict(labels_until),
                metrics=dict(metrics),
                gate=gate,
                created_at=created_at,
            )

        return self._append("versions", entry)

    def get(self, version: int) -> ModelVersion:
        """Return a version.

        Raises
        ------
        RegistryError
            If there is none of this number.
        """
        return self._read("versions", version, ModelVersion)

    def list(self) -> tuple[ModelVersion, ...]:
        """Return all versions, oldest first."""
        return tuple(self._read("versions", n, ModelVersion) for n in self._numbers("versions"))

    def serving(self) -> ModelReleased | None:
        """Return the newest announcement, None before the first."""
        numbers = self._numbers("releases")
        return self._read("releases", numbers[-1], ModelReleased) if numbers else None

    def releases(self) -> tuple[ModelReleased, ...]:
        """Return all announcements, oldest first."""
        return tuple(self._read("releases", n, ModelReleased) for n in self._numbers("releases"))

    def promote(self, version: int, kind: ReleaseKind, reason: str = "") -> ModelReleased:
        """Record that a version is to serve from now on; the caller announces what is returned."""
        found = self.get(version)
        return self._append(
            "releases",
            lambda sequence: ModelReleased(
                version=found, kind=kind, sequence=sequence, announced_at=self._clock(), reason=reason
            ),
        )

    def roll_back(self, reason: str, to: int | None = None) -> ModelReleased:
        """Return to the version that served before the one that serves now, or to a named one.

        A second roll-back goes one further back, not forth to what was left.

        Raises
        ------
        RegistryError
            If nothing served before, or there is no such version.
        """
        served: _Numbers = []
        for release in self.releases():
            number = release.version.model.version
            if release.kind is ReleaseKind.ROLLBACK and number in served:
                del served[served.index(number) + 1 :]
            elif not served or served[-1] != number:
                served.append(number)
        if to is None:
            if len(served) < 2:  # noqa: PLR2004 - the one that serves and one before
                raise RegistryError(f"no version of {self._name!r} served before the present one")
            to = served[-2]
        return self.promote(to, ReleaseKind.ROLLBACK, reason)

    def record_refusal(self, verdict: GateVerdict, *, parent: int | None, labels_learned: int) -> RefusedCandidate:
        """Keep the verdict on a candidate that did not pass."""
        refused = RefusedCandidate(
            parent=parent, verdict=verdict, labels_learned=labels_learned, refused_at=self._clock()
        )
        return self._append("refusals", lambda _: refused)

    def refusals(self) -> tuple[RefusedCandidate, ...]:
        """Return all refusals, oldest first."""
        return tuple(self._read("refusals", n, RefusedCandidate) for n in self._numbers("refusals"))

    def _append(self, folder: str, entry: Callable[[int], T]) -> T:
        number = (self._numbers(folder) or [0])[-1]
        while True:
            number += 1
            made = entry(number)
            if self._files.create(self._path(folder, number), made.model_dump_json(indent=2).encode()):
                return made

    def _read(self, folder: str, number: int, model: type[T]) -> T:
        data = self._files.read(self._path(folder, number))
        if data is None:
            raise RegistryError(f"{self._name!r} has no entry {number} in {folder}")
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            raise RegistryError(
                f"entry {number} of {self._name!r} in {folder} is damaged: {str(error)[:300]}"
            ) from None

    def _numbers(self, folder: str) -> _Numbers:
        names = self._files.names(f"models/{self._name}/{folder}", ".json")
        return sorted(int(name.removesuffix(".json")) for name in names)

    def _path(self, folder: str, number: int) -> str:
        return f"models/{self._name}/{folder}/{number:08d}.json"
