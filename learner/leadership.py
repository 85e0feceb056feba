"""Which of several learners is active: a lock in Redis that lapses by itself."""

import asyncio
import logging

from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from memory.stores.redis import answering
from schemas.errors import WeldstreamError

_log = logging.getLogger(__name__)

_RENEWALS = 3
"""Renewals within the time after which the lock lapses."""


def leader_key(prefix: str) -> str:
    """Return the lock's key, beside those of the memory: the same right in Redis covers both."""
    return f"{{{prefix}leader}}"


class LeadershipLostError(WeldstreamError):
    """The lock lapsed, so another learner may lead."""

    reason = "leadership_lost"


class Leadership:
    """Decides who tries to lead; the registry's fence makes sure that only one can.

    A process that stood still may hold a lock that has long lapsed, so the
    lock alone would not keep it from releasing.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        Closed by whoever opened it.
    name : str
        Key of the lock.
    seconds : float
        After so long without renewal another may take over.
    """

    def __init__(self, redis: Redis, name: str, seconds: float) -> None:
        self._seconds = seconds
        # A task renews what another acquired, so the token must not belong to a thread.
        self._lock = Lock(redis, name, timeout=seconds, sleep=seconds / 10, thread_local=False)

    async def acquire(self) -> None:
        """Return once this process leads; wait as long as another does or Redis is away.

        Raises
        ------
        AccessRefusedError
            If Redis refuses our user.
        """
        waits = False
        while True:
            try:
                with answering():
                    if await self._lock.acquire(blocking=False):
                        return
                reason = "another learner leads"
            except WeldstreamError as error:
                if not error.retriable:
                    raise
                reason = str(error)
            if not waits:
                _log.info("standing by: %s", reason)
            waits = True
            await asyncio.sleep(self._seconds / 10)

    async def keep(self) -> None:
        """Renew until cancelled.

        While Redis is away nobody can take over, so nothing is given up.

        Raises
        ------
        LeadershipLostError
            If the lock lapsed: another may have taken over, or may do so now.
        AccessRefusedError
            If Redis refuses our user.
        """
        while True:
            await asyncio.sleep(self._seconds / _RENEWALS)
            try:
                with answering():
                    await self._renew()
            except WeldstreamError as error:
                if not error.retriable:
                    raise
                _log.warning("the lock of the active learner was not renewed: %s", error)

    async def _renew(self) -> None:
        try:
            await self._lock.reacquire()
        except LockError:
            # Even if it is free again: somebody may have had it, and have fenced us off.
            raise LeadershipLostError("the lock of the active learner has lapsed") from None

    async def release(self) -> None:
        """Let a stand-by take over at once."""
        try:
            await self._lock.release()
        except RedisError as error:
            _log.warning("the lock of the active learner was not released: %s", error)
