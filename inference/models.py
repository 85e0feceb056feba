"""Where the models to serve come from: the announcements, or one pinned version of the registry."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from inference.installer import ModelInstaller
from inference.metrics import InferenceMetrics
from inference.releases import ReleaseFollower
from inference.settings import InferenceSettings
from inference.sink import PATIENT
from inference.welds import WeldBook
from memory.registry import ModelRegistry
from memory.signing import Verifier
from schemas.errors import WeldstreamError
from schemas.topics import MODEL_RELEASES
from stream.broker import make_consumer
from stream.clients import Consumer
from stream.records import InRecord

_log = logging.getLogger(__name__)

PINNED_POLL_SECONDS = 1.0


async def serve_models(
    settings: InferenceSettings,
    installer: ModelInstaller,
    registry: ModelRegistry,
    verifier: Verifier | None,
    *,
    refuse: Callable[[InRecord, WeldstreamError], Awaitable[None]],
    metrics: InferenceMetrics,
    rng: random.Random,
) -> None:
    """Install what is announced until cancelled, or the pinned version once.

    Parameters
    ----------
    settings : InferenceSettings
        Says which model.
    installer : ModelInstaller
        Lets versions serve.
    registry : ModelRegistry
        Where the pinned version is, and the announcement that is the newest when we start: who can write to the
        topic cannot bring an older one back by waiting for a restart.
    verifier : Verifier or None
        Whose announcements are taken; None takes all.
    refuse : callable
        Awaited with an announcement that is not taken, and why.
    metrics, rng : InferenceMetrics, random.Random
        Counts, and the jitter of retries.
    """
    if settings.serving.pinned_version is not None:
        await _serve_pinned(registry, installer, settings.serving.pinned_version)
        return
    consumer: Consumer = make_consumer(settings.kafka, (MODEL_RELEASES,), client_id="weldstream-releases")
    try:
        await PATIENT.run(consumer.start, rng=rng)
        follower = ReleaseFollower(
            consumer=consumer,
            model_name=settings.registry.model_name,
            installer=installer,
            verifier=verifier,
            refuse=refuse,
            metrics=metrics,
            retry=PATIENT,
            rng=rng,
        )
        await _begin_with_the_newest(registry, follower, rng)
        await follower.run()
    finally:
        await consumer.stop()


async def _begin_with_the_newest(registry: ModelRegistry, follower: ReleaseFollower, rng: random.Random) -> None:
    try:
        newest = await PATIENT.run(lambda: asyncio.to_thread(registry.serving), rng=rng)
    except WeldstreamError as error:
        follower.count_refusal(error)
        return
    if newest is not None:
        follower.offer(newest)


async def revive_models(
    book: WeldBook, installer: ModelInstaller, registry: ModelRegistry, metrics: InferenceMetrics, rng: random.Random
) -> None:
    """Bring the versions back that welds in progress began with; a weld whose version is gone begins a new pass."""
    for number in sorted(book.versions() - installer.live, reverse=True):

        async def revive(number: int = number) -> None:
            await installer.revive(await asyncio.to_thread(registry.get, number))

        try:
            await PATIENT.run(revive, rng=rng)
        except WeldstreamError as error:
            welds = book.judged_by(number)
            _log.error("v%d cannot be brought back for %d welds in progress: %s", number, len(welds), error)
            metrics.welds_reopened.labels(error.reason).inc(len(welds))
            book.close(welds)


async def _serve_pinned(registry: ModelRegistry, installer: ModelInstaller, number: int) -> None:
    """Install a version as soon as the registry has it, however long that takes."""
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
