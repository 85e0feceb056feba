"""The memory in Redis: each operation is one Lua call, atomic and one round trip."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from memory.admission import EMBEDDING, Chance, shown_classes, whole_embedding
from memory.samples import Sample
from memory.sampling import Balanced, Policy
from memory.stores.base import (
    SEEN_LABELS,
    Admission,
    Capacity,
    DomainStats,
    MemoryExhaustedError,
    MemoryFullError,
    MemoryStats,
    path_in,
)
from memory.stores.scripts import ADMIT, CLEAR, DRAW, REPLACE, STATS
from schemas.errors import AccessRefusedError, ServiceUnavailableError
from schemas.settings import RedisSettings


def open_redis(settings: RedisSettings) -> Redis:
    """Build a client; ``await aclose()`` it.

    A ``rediss://`` URL is answered only by a server whose certificate names
    the URL's host and comes from a trusted authority.
    """
    url = settings.url.get_secret_value()
    options: dict[str, Any] = {}
    if settings.username is not None:
        options["username"] = settings.username
    if settings.password is not None:
        options["password"] = settings.password.get_secret_value()
    if url.startswith("rediss:"):
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": settings.ca_file}
    client: Redis = Redis.from_url(url, **options)
    return client


class RedisStore:
    """Samples under one prefix of a Redis that survives this process.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that returns bytes (``decode_responses`` off); closed by whoever opened it.
    prefix : str
        Of all its keys: the deployment's ``RedisSettings.key_prefix`` and a name of this memory.
    seen_labels : int
        How many label ids are remembered.
    """

    def __init__(self, redis: Redis, prefix: str, seen_labels: int = SEEN_LABELS) -> None:
        self._redis = redis
        self._prefix = f"{{{prefix}}}:"
        self._seen_labels = seen_labels

    async def admit(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """See :class:`~memory.stores.base.SampleStore`.

        Raises
        ------
        MemoryFullError
            If the sample exceeds the capacity.
        MemoryExhaustedError
            If Redis has no memory left; offering it again later is safe.
        ServiceUnavailableError
            If Redis does not answer; whether the sample was admitted is then
            unknown, and offering it again is safe.
        """
        data, source, embedding = _fitting(sample, capacity), sample.source, b""
        if capacity.policy == "coreset":
            embedding = whole_embedding(sample.label_id, sample.extras.get(EMBEDDING)).tobytes()
        return _admission(
            await self._call(
                ADMIT,
                [*self._keys("seen", "limits", "sizes", "offsets", "labels", "paths", "shown"), self._payload(sample)],
                chance.evictions,
                f"{chance.slot:.17g}",
                sample.label_id,
                sample.domain,
                data,
                capacity.samples,
                capacity.bytes,
                f"{source.topic}/{source.partition}" if source else "",
                source.offset if source else 0,
                self._seen_labels,
                capacity.policy,
                json.dumps(path_in(capacity, sample.domain)),
                json.dumps(shown_classes(sample.mask)),
                embedding,
            )
        )

    async def replace(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """See :class:`~memory.stores.base.SampleStore`; raises as :meth:`admit` does."""
        return _admission(
            await self._call(
                REPLACE,
                [*self._keys("seen", "limits", "sizes"), self._payload(sample)],
                chance.evictions,
                sample.label_id,
                sample.domain,
                _fitting(sample, capacity),
                capacity.samples,
                capacity.bytes,
                capacity.policy,
            )
        )

    async def draw(self, policy: Policy, start: int) -> list[Sample]:
        """See :class:`~memory.stores.base.SampleStore`."""
        wanted = policy.per_domain if isinstance(policy, Balanced) else None
        encoded = json.dumps(
            {
                "count": None if isinstance(policy, Balanced) else policy.count,
                "each": wanted if isinstance(wanted, int) else None,
                "named": {} if wanted is None or isinstance(wanted, int) else dict(wanted),
                "domains": policy.domains,
                "exclude": policy.exclude,
            }
        )
        return [Sample.from_bytes(data) for data in await self._call(DRAW, self._keys("seen"), start, encoded)]

    async def stats(self) -> MemoryStats:
        """See :class:`~memory.stores.base.SampleStore`."""
        rows = await self._call(STATS, self._keys("seen", "sizes"), 1)
        return MemoryStats({name.decode(): DomainStats(*counts) for name, *counts in rows})

    async def offsets(self) -> dict[tuple[str, int], int]:
        """See :class:`~memory.stores.base.SampleStore`."""
        with answering():
            stored = cast("dict[bytes, bytes]", await self._redis.hgetall(f"{self._prefix}offsets"))
        offsets = {}
        for key, value in stored.items():
            topic, partition = key.decode().rsplit("/", 1)
            offsets[topic, int(partition)] = int(value)
        return offsets

    async def clear(self) -> None:
        """See :class:`~memory.stores.base.SampleStore`."""
        await self._call(CLEAR, self._keys("seen", "limits", "sizes", "offsets", "labels", "paths", "shown"), 1)

    def _payload(self, sample: Sample) -> str:
        return f"{self._prefix}sample:{sample.label_id}"

    def _keys(self, *names: str) -> list[str]:
        return [self._prefix + name for name in names]

    async def _call(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        sent = (len(keys), *keys, self._prefix, *arguments)
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        with answering():
            try:
                return await self._redis.evalsha(digest, *sent)
            except NoScriptError:  # a Redis that restarted has forgotten it; EVAL also teaches it again
                return await self._redis.eval(script, *sent)


def _fitting(sample: Sample, capacity: Capacity) -> bytes:
    data = sample.to_bytes()
    if len(data) > capacity.bytes:
        raise MemoryFullError(f"{sample.label_id} has {len(data)} bytes, the whole memory {capacity.bytes}")
    return data


def _admission(reply: Sequence[Any]) -> Admission:
    admitted, duplicate, *evicted = reply
    return Admission(bool(admitted), bool(duplicate), tuple(label.decode() for label in evicted))


@contextmanager
def answering() -> Iterator[None]:
    """Turn the client's errors into ours: what may succeed later, what is refused, what finds no memory left.

    A cancellation that the client lost is made good: it awaits with
    ``asyncio.wait_for``, which before Python 3.12 forgets one that comes
    together with the result.
    """
    try:
        yield
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
    except OutOfMemoryError as error:
        raise MemoryExhaustedError(f"Redis has reached maxmemory and evicts nothing: {error}") from error
    except (AuthenticationError, NoPermissionError) as error:
        raise AccessRefusedError(f"Redis refuses our user: {error}") from error
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        if (refused := _certificate_error(error)) is not None:
            raise AccessRefusedError(f"the certificate of Redis is refused: {refused.verify_message}") from error
        raise ServiceUnavailableError(f"Redis does not answer: {error}") from error
    except ResponseError as error:
        # From within a script Redis 6 reports it as an error of the script, and Redis before 7.2 what is not allowed.
        if "OOM" in str(error):
            raise MemoryExhaustedError(f"Redis has reached maxmemory and evicts nothing: {error}") from error
        if "The user executing the script" in str(error):
            raise AccessRefusedError(f"Redis refuses our user: {error}") from error
        raise
    except RedisError as error:
        raise ServiceUnavailableError(f"Redis failed: {error}") from error


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error
