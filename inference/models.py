"""Where the models to serve come from: the announcements, or one pinned version of the registry."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from inference.installer import Artifacts, ModelInstaller
from inference.metrics import InferenceMetrics
from inference.releases import ReleaseFollower
from inference.settings import InferenceSettings
from inference.sink import PATIENT
from memory.artifacts import ArtifactStore
from memory.registry import ModelRegistry
from schemas.errors import WeldstreamError
from schemas.topics import MODEL_RELEASES
from stream.broker import make_consumer
from stream.clients import Consumer
from stream.records import InRecord

_log = logging.getLogger(__name__)

PINNED_POLL_SECONDS = 1.0


async def serve_models(
    settings: InferenceSettings,
    cache: Path,
    *,
    make_installer: Callable[[Artifacts], ModelInstaller],
    refuse: Callable[[InRecord, WeldstreamError], Awaitable[None]],
    metrics: InferenceMetrics,
    rng: random.Random,
) -> None:
    """Install what is announced until cancelled, or the pinned version once.

    Parameters
    ----------
    settings : InferenceSettings
        Says which model, and where it is.
    cache : Path
        Folder of verified copies.
    make_installer : callable
        Builds the installer on the artifact store.
    refuse : callable
        Awaited with an announcement that is not taken, and why.
    metrics, rng : InferenceMetrics, random.Random
        Counts, and the jitter of retries.
    """
    installer = make_installer(
        ArtifactStore(settings.registry.uri, settings.registry.options, cache_dir=cache),
    )
    if settings.serving.pinned_version is not None:
        await _serve_pinned(settings, installer, settings.serving.pinned_version)
        return
    consumer: Consumer = make_consumer(settings.kafka, (MODEL_RELEASES,), client_id="weldstream-releases")
    try:
        await PATIENT.run(consumer.start, rng=rng)
        follower = ReleaseFollower(
            consumer=consumer,
            model_name=settings.registry.model_name,
            installer=installer,
            refuse=refuse,
            metrics=metrics,
            retry=PATIENT,
            rng=rng,
        )
        await follower.run()
    finally:
        await consumer.stop()


async def _serve_pinned(settings: InferenceSettings, installer: ModelInstaller, number: int) -> None:
    """Install a version as soon as the registry has it, however long that takes."""
    registry = ModelRegistry(settings.registry.uri, settings.registry.model_name, settings.registry.options)
    said = ""
    while True:
        try:
            await installer.install(await asyncio.to_thread(registry.get, number))
        except WeldstreamError as error:
            if str(error) != said:
                said = str(error)
                _log.warning("v%d cannot be served yet: %s", number, said)
            await asyncio.sleep(PINNED_POLL_SECONDS)
        else:
            return
