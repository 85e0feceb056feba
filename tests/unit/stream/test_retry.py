import random

import pytest
from aiokafka.errors import CorruptRecordException, NotLeaderForPartitionError, TopicAuthorizationFailedError
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import BadPayloadError, ServiceUnavailableError
from stream.retry import RetryPolicy, is_retriable


class Attempts:
    """Fails with the given errors, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.made = 0
        self.slept: list[float] = []

    async def __call__(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_retriable_errors_are_retried_with_backoff() -> None:
    attempts = Attempts(ServiceUnavailableError("x"), NotLeaderForPartitionError())
    told: list[int] = []
    policy = RetryPolicy(attempts=3, base_seconds=1, cap_seconds=60, jitter=0)
    result = await policy.run(
        attempts, rng=random.Random(0), sleep=attempts.sleep, on_retry=lambda number, _: told.append(number)
    )
    assert (result, attempts.slept, told) == ("done", [1, 2], [1, 2])


async def test_other_errors_are_raised_at_once() -> None:
    for error in (BadPayloadError("x"), TopicAuthorizationFailedError(), KeyError("x")):
        attempts = Attempts(error)
        with pytest.raises(type(error)):
            await RetryPolicy().run(attempts, rng=random.Random(0), sleep=attempts.sleep)
        assert (attempts.made, attempts.slept) == (1, [])


async def test_the_last_error_is_raised() -> None:
    attempts = Attempts(*(ServiceUnavailableError(str(n)) for n in range(5)))
    with pytest.raises(ServiceUnavailableError, match="2"):
        await RetryPolicy(attempts=3).run(attempts, rng=random.Random(0), sleep=attempts.sleep)
    assert attempts.made == 3


async def test_errors_of_other_libraries_are_named() -> None:
    attempts = Attempts(ConnectionResetError())
    assert await RetryPolicy().run(attempts, rng=random.Random(0), also=(ConnectionError,), sleep=attempts.sleep)
    assert is_retriable(ConnectionResetError(), (ConnectionError,))
    assert not is_retriable(ConnectionResetError())
    assert not is_retriable(BadPayloadError("x"), (Exception,))
    assert is_retriable(CorruptRecordException()) is bool(CorruptRecordException.retriable)


@settings(deadline=None)
@given(
    attempts=st.integers(1, 200),
    base=st.floats(0, 10),
    cap=st.floats(0, 100),
    jitter=st.floats(0, 1),
    seed=st.integers(),
)
def test_delays_are_bounded(attempts: int, base: float, cap: float, jitter: float, seed: int) -> None:
    policy = RetryPolicy(attempts=attempts, base_seconds=base, cap_seconds=cap, jitter=jitter)
    delays = list(policy.delays(random.Random(seed)))
    assert len(delays) == attempts - 1
    for n, delay in enumerate(delays):
        longest = min(cap, base * 2.0 ** min(n, 64))
        assert longest * (1 - jitter) <= delay + 1e-9
        assert delay <= longest
