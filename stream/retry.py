"""Retry as a value: how often, how long between, and which errors are worth it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, TypeVar

from aiokafka.errors import KafkaError
from pydantic import Field

from schemas.errors import WeldstreamError
from schemas.settings import Section

T = TypeVar("T")


def is_retriable(error: BaseException, also: tuple[type[BaseException], ...] = ()) -> bool:
    """Tell whether the same attempt may succeed later.

    Parameters
    ----------
    error : BaseException
        What was raised.
    also : tuple of exception types
        Retriable errors of other libraries, for example redis' ``ConnectionError``.
    """
    if isinstance(error, WeldstreamError | KafkaError):
        return bool(error.retriable)
    return isinstance(error, also)


class RetryPolicy(Section):
    """Exponential backoff with jitter.

    The n-th wait is ``base_seconds * 2**n``, at most ``cap_seconds``, of which
    the share ``jitter`` is random, so that clients do not come back together.
    """

    attempts: Annotated[int, Field(ge=1)] = Field(5, description="Attempts in all, the first included.")
    base_seconds: Annotated[float, Field(ge=0)] = Field(0.1, description="First wait.")
    cap_seconds: Annotated[float, Field(ge=0)] = Field(5.0, description="Longest wait.")
    jitter: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="Random share of a wait.")

    def delays(self, rng: random.Random) -> Iterator[float]:
        """Yield the seconds to wait after each failed attempt but the last."""
        for n in range(self.attempts - 1):
            # The exponent is bounded because 2.0**1024 overflows.
            longest = min(self.cap_seconds, self.base_seconds * 2.0 ** min(n, 64))
            yield longest * (1 - self.jitter * rng.random())

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        rng: random.Random,
        also: tuple[type[BaseException], ...] = (),
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        on_retry: Callable[[int, BaseException], None] | None = None,
    ) -> T:
        """Await ``attempt()`` until it succeeds, fails for good, or the attempts are used up.

        Parameters
        ----------
        attempt : callable
            Called anew for each attempt.
        rng : random.Random
            Source of the jitter.
        also : tuple of exception types
            Retried beside the errors that say themselves that they are retriable.
        sleep : callable
            Awaited between attempts.
        on_retry : callable or None
            Told the number of the failed attempt (from 1) and its error.

        Raises
        ------
        Exception
            The last attempt's own error.
        """
        for number, delay in enumerate(self.delays(rng), start=1):
            try:
                return await attempt()
            except Exception as error:
                if not is_retriable(error, also):
                    raise
                if on_retry is not None:
                    on_retry(number, error)
                await sleep(delay)
        return await attempt()
