"""From an announced version to the model that serves."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from inference.loading import Artifacts, fetch
from inference.metrics import InferenceMetrics
from inference.session import ModelSession, SessionLoader, Weights, read_weights
from inference.slot import PATIENCE_SECONDS, SessionSlot
from schemas.classes import ClassTable
from schemas.errors import WeldstreamError
from schemas.events import ModelVersion
from stream.preprocessing import VERSION

_log = logging.getLogger(__name__)

T = TypeVar("T")


class IncompatibleReleaseError(WeldstreamError):
    """The version was made for other classes or another preprocessing than this process has."""

    reason = "incompatible_release"


class SlotFullError(WeldstreamError):
    """As many versions are in memory as may be, and welds in progress need them all."""

    retriable = True
    reason = "slot_full"


class TooManyVersionsError(WeldstreamError):
    """Welds that another process left in progress began with more versions than may be in memory."""

    reason = "too_many_versions"


class ModelInstaller:
    """Fetches, checks, builds, warms up and swaps; any failure leaves the slot as it was.

    Parameters
    ----------
    artifacts : Artifacts
        Where the files come from.
    loader : SessionLoader
        Builds sessions.
    slot : SessionSlot
        Where the model is to serve.
    classes : ClassTable
        What its mask values must mean.
    metrics : InferenceMetrics
        Shows the version that serves.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        loader: SessionLoader,
        slot: SessionSlot,
        classes: ClassTable,
        metrics: InferenceMetrics,
    ) -> None:
        self._artifacts = artifacts
        self._loader = loader
        self._slot = slot
        self._classes = classes
        self._metrics = metrics
        self._installing = 0

    @property
    def busy(self) -> bool:
        """Whether a model is being built, swapped in, or freed."""
        return self._installing > 0 or self._slot.retiring

    async def install(self, version: ModelVersion, announced_at: datetime | None = None) -> None:
        """Let a version serve the welds that begin from now on.

        Raises
        ------
        WeldstreamError
            If any step before the swap fails; ``retriable`` says whether to try again.
        """
        self._installing += 1
        try:
            await self._install(version, announced_at)
        finally:
            self._installing -= 1

    async def _install(self, version: ModelVersion, announced_at: datetime | None) -> None:
        self._check(version)
        number = version.model.version
        if not self._slot.swap_to_live(version.model, announced_at):
            if not self._slot.has_room:
                raise SlotFullError(f"welds in progress need {sorted(self._slot.live)}; v{number} waits")
            self._slot.swap(await self._build(version), announced_at)
        self._metrics.model_version.set(number)
        self._metrics.live_models.set(len(self._slot.live))
        self._metrics.swaps.inc()
        _log.info("%s v%d serves", version.model.name, number)
        await self._slot.retired()

    @property
    def live(self) -> set[int]:
        """Versions in memory."""
        return set(self._slot.live)

    async def revive(self, version: ModelVersion) -> None:
        """Bring a version back that welds in progress began with.

        Raises
        ------
        WeldstreamError
            If it cannot be loaded, or too many are live.
        """
        self._check(version)
        if not self._slot.has_room:
            raise TooManyVersionsError(f"v{version.model.version} is one too many beside {sorted(self._slot.live)}")
        self._slot.add(await self._build(version))
        self._metrics.live_models.set(len(self._slot.live))

    def _check(self, version: ModelVersion) -> None:
        if version.preprocessing != VERSION:
            raise IncompatibleReleaseError(
                f"v{version.model.version} was trained with preprocessing {version.preprocessing!r}, not {VERSION!r}"
            )
        if version.classes.codes != self._classes.codes:
            raise IncompatibleReleaseError(
                f"v{version.model.version} knows classes {version.classes.codes}, not {self._classes.codes}"
            )
        if version.model.digest != version.weights.sha256:
            raise IncompatibleReleaseError(f"v{version.model.version} names two digests of its weights")

    async def _build(self, version: ModelVersion) -> ModelSession:
        graph, weights = await self._in_a_pause(lambda: self._read(version))
        session = await self._in_a_pause(lambda: self._loader.build(version, graph, weights))
        await self._in_a_pause(lambda: self._loader.try_out(session))
        return session

    def _read(self, version: ModelVersion) -> tuple[Path, Weights]:
        graph, weights = fetch(self._artifacts, version)
        return graph, read_weights(version, weights)

    async def _in_a_pause(self, step: Callable[[], T]) -> T:
        """Take a step when a batch has ended: what it takes of the processor and its caches, few frames miss."""
        if self._slot.current is not None:  # before the first model no frame is judged
            await self._slot.pause(PATIENCE_SECONDS)
        return await asyncio.to_thread(step)
