"""The versions of a model, what was announced of them, and what was refused."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, ValidationError

from memory.files import AtomicFiles
from memory.history import served_line
from memory.key_files import signer_of, verifier_of
from memory.signing import Signer, Verifier
from schemas.classes import ClassTable
from schemas.errors import WeldstreamError
from schemas.events import Artifact, GateVerdict, ModelReleased, ModelVersion, ReleaseKind
from schemas.judgements import ModelRef
from schemas.settings import RegistrySettings

T = TypeVar("T", bound=BaseModel)
_Numbers = list[int]  # inside the registry, `list` is its method


class RegistryError(WeldstreamError):
    """The registry has no such version, or nothing to return to."""

    reason = "registry"


class FencedError(WeldstreamError):
    """Another writer took over; whoever is told so must neither release nor roll back any more."""

    reason = "fenced"


class Fence(BaseModel):
    """Takes its place among the announcements: from here on, only writers of its epoch or a later one may announce."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: Annotated[int, Field(ge=1)]
    holder: str
    fenced_at: AwareDatetime


class _Entry(RootModel[Fence | ModelReleased]):
    """What lies among the announcements."""


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
    """The record of one model line; every entry is written once, and nothing of it but its signature is ever changed.

    Versions, announcements and refusals are numbered files. A number is taken
    by creating its file exclusively, so two writers never share one, and the
    newest announcement is by itself the pointer to what serves.

    A learner that takes over puts a fence among the announcements. Whoever
    announces under an earlier epoch takes the next free number only if no
    fence lies before it, and a fence that comes first takes that number away:
    a learner that slept through its replacement cannot release.

    With a verifier every version and announcement that is read must be
    signed by a trusted key and lie under its own number, else UntrustedError
    or RegistryError is raised: who can write to the storage can neither slip
    a model in nor exchange two. With a signer, what is written is signed,
    and what is announced is verified first.

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
    signer : Signer, optional
        Signs what is published and announced.
    verifier : Verifier, optional
        Verifies what is read; without one nothing is verified.
    """

    def __init__(
        self,
        uri: str,
        model_name: str,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = _now,
        *,
        signer: Signer | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        if model_name in {"", ".", ".."} or "/" in model_name:
            raise RegistryError(f"{model_name!r} cannot name a model")
        self._files = AtomicFiles(uri, options)
        self._name = model_name
        self._clock = clock
        self._signer = signer
        self._verifier = verifier

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
        labels_read: Mapping[int, int] = MappingProxyType({}),
        without_inspectors: Iterable[str] = (),
        metrics: Mapping[str, float],
        gate: GateVerdict | None,
        created_at: datetime,
    ) -> ModelVersion:
        """Record a version under the next number; its files must already be in the artifact store.

        The parameters are the fields of :class:`~schemas.events.ModelVersion`.
        """

        def entry(number: int) -> ModelVersion:
            version = ModelVersion(
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
                labels_read=dict(labels_read),
                without_inspectors=tuple(sorted(without_inspectors)),
                metrics=dict(metrics),
                gate=gate,
                created_at=created_at,
            )
            return version if self._signer is None else self._signer.sign(version)

        return self._append("versions", entry)

    def get(self, version: int) -> ModelVersion:
        """Return a version.

        Raises
        ------
        RegistryError
            If there is none of this number.
        UntrustedError
            If no trusted key has signed it.
        """
        found = self._version(version)
        if self._verifier is not None:
            self._verifier.check(found)
        return found

    def vouch(self, version: int) -> ModelVersion:
        """Sign a version with our key in place of whoever signed it, or did not; what it says stays as it is.

        For the time after a key was changed or lost: whoever calls this has
        made sure that the version is what it should be.

        Raises
        ------
        RegistryError
            If there is none of this number, or there is no signer.
        """
        if self._signer is None:
            raise RegistryError(f"there is no key to sign v{version} of {self._name!r} with")
        signed = self._signer.sign(self._version(version))
        self._files.replace(self._path("versions", version), signed.model_dump_json(indent=2).encode())
        return signed

    def list(self) -> tuple[ModelVersion, ...]:
        """Return all versions, oldest first."""
        return tuple(self.get(n) for n in self._numbers("versions"))

    def serving(self) -> ModelReleased | None:
        """Return the newest announcement, None before the first.

        Raises
        ------
        UntrustedError
            If no trusted key has signed it: an older one is not taken in its place.
        """
        return next((entry for entry in self._newest_first() if isinstance(entry, ModelReleased)), None)

    def releases(self) -> tuple[ModelReleased, ...]:
        """Return all announcements, oldest first."""
        return tuple(entry for entry in self._newest_first() if isinstance(entry, ModelReleased))[::-1]

    def epoch(self) -> int:
        """Return the epoch that has begun last, 0 before the first."""
        return next((entry.epoch for entry in self._newest_first()), 0)

    def holders_since(self, epoch: int) -> set[str]:
        """Return who took over after an epoch."""
        holders = set()
        for entry in self._newest_first():
            if entry.epoch <= epoch:
                break
            if isinstance(entry, Fence):
                holders.add(entry.holder)
        return holders

    def take_over(self, holder: str) -> int:
        """Fence off every learner before this one, and return the epoch under which this one announces."""

        def entry(_: int) -> Fence:
            return Fence(epoch=self.epoch() + 1, holder=holder, fenced_at=self._clock())

        return self._append("releases", entry).epoch

    def promote(self, version: int, kind: ReleaseKind, reason: str = "", *, epoch: int | None = None) -> ModelReleased:
        """Record that a version is to serve from now on; the caller announces what is returned.

        Parameters
        ----------
        version, kind, reason : int, ReleaseKind, str
            What is announced.
        epoch : int or None
            That of the learner that announces; None for a person, whom nothing fences off.

        Raises
        ------
        RegistryError
            If there is no such version.
        FencedError
            If another learner has taken over.
        """
        found = self.get(version)

        def entry(sequence: int) -> ModelReleased:
            newest = self.epoch()
            if epoch is not None and newest > epoch:
                raise FencedError(f"epoch {epoch} of {self._name!r} is over: epoch {newest} has begun")
            released = ModelReleased(
                version=found, kind=kind, sequence=sequence, epoch=newest, announced_at=self._clock(), reason=reason
            )
            return released if self._signer is None else self._signer.sign(released)

        return self._append("releases", entry)

    def roll_back(self, reason: str, to: int | None = None, *, epoch: int | None = None) -> ModelReleased:
        """Return to the version that served before the one that serves now, or to a named one.

        A second roll-back goes one further back, not forth to what was left.

        Raises
        ------
        RegistryError
            If nothing served before, or there is no such version.
        FencedError
            As in :meth:`promote`.
        """
        return self.promote(self._served_before() if to is None else to, ReleaseKind.ROLLBACK, reason, epoch=epoch)

    def _served_before(self) -> int:
        served = served_line(self.releases())
        if len(served) < 2:  # noqa: PLR2004 - the one that serves and one before
            raise RegistryError(f"no version of {self._name!r} served before the present one")
        return served[-2]

    def record_refusal(self, verdict: GateVerdict, *, parent: int | None, labels_learned: int) -> RefusedCandidate:
        """Keep the verdict on a candidate that did not pass."""
        refused = RefusedCandidate(
            parent=parent, verdict=verdict, labels_learned=labels_learned, refused_at=self._clock()
        )
        return self._append("refusals", lambda _: refused)

    def refusals(self) -> tuple[RefusedCandidate, ...]:
        """Return all refusals, oldest first."""
        return tuple(self._read("refusals", n, RefusedCandidate) for n in self._numbers("refusals"))

    def _newest_first(self) -> Iterator[Fence | ModelReleased]:
        for number in reversed(self._numbers("releases")):
            entry = self._read("releases", number, _Entry).root
            if isinstance(entry, ModelReleased):
                self._check(entry, number)
            yield entry

    def _append(self, folder: str, entry: Callable[[int], T]) -> T:
        """Take the next number; `entry` is asked again, and sees what came between, where another took it."""
        while True:
            # Listed before `entry` looks at what is there: whatever it did not see has taken this number.
            number = (self._numbers(folder) or [0])[-1] + 1
            made = entry(number)
            if self._files.create(self._path(folder, number), made.model_dump_json(indent=2).encode()):
                return made

    def _version(self, number: int) -> ModelVersion:
        found = self._read("versions", number, ModelVersion)
        if (found.model.name, found.model.version) != (self._name, number):
            raise RegistryError(f"v{found.model.version} of {found.model.name!r} lies where v{number} should")
        return found

    def _check(self, found: ModelReleased, number: int) -> None:
        if (found.version.model.name, found.sequence) != (self._name, number):
            raise RegistryError(
                f"announcement {found.sequence} of {found.version.model.name!r} lies where number {number} should"
            )
        if self._verifier is not None:
            self._verifier.check(found)

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
        return sorted(int(stem) for name in names if (stem := name.removesuffix(".json")).isdecimal())

    def _path(self, folder: str, number: int) -> str:
        return f"models/{self._name}/{folder}/{number:08d}.json"


def open_registry(
    settings: RegistrySettings, clock: Callable[[], datetime] = _now, *, publishes: bool = False
) -> ModelRegistry:
    """Open the registry that the settings name, with the trust that they ask for.

    Parameters
    ----------
    settings : RegistrySettings
        Where it is, whom to trust, and with which key to sign.
    clock : callable
        Returns the time of an announcement or a refusal.
    publishes : bool
        Whether this process publishes or announces, and so needs the private key.

    Raises
    ------
    KeyFileError
        If a key is missing or cannot be used.
    """
    return ModelRegistry(
        settings.uri,
        settings.model_name,
        settings.options,
        clock,
        signer=signer_of(settings) if publishes else None,
        verifier=verifier_of(settings),
    )
