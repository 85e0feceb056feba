"""The memory over TLS, as a user that may touch its own keys with its own commands, and nothing else."""

import logging
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import NoPermissionError, ResponseError
from typer.testing import CliRunner

from learner.leadership import leader_key
from memory.admission import chance_of
from memory.sampling import Balanced, Uniform
from memory.stores.base import Capacity
from memory.stores.redis import RedisStore, answering, open_redis
from memory.stores.rights import redis_commands
from schemas.errors import AccessRefusedError, ServiceUnavailableError
from stream.cli import app
from tests.contracts.sample_store import POLICIES, SampleStoreContract, make_sample
from tests.integration.security.secured import ADMIN, KEY_PREFIX, SecuredRedis

WRONG = "correct-horse-battery-staple"


@pytest.fixture
async def admin(redis: SecuredRedis) -> AsyncIterator[Redis]:
    async with open_redis(redis.settings(ADMIN)) as client:
        await client.flushall()
        yield client
        await client.flushall()
        await client.execute_command("ACL", "LOAD")


async def use_everything(redis: SecuredRedis) -> None:
    """Do all that the learner ever does: samples of both domains are pushed out, and the lock goes round."""
    async with open_redis(redis.settings("learner")) as client:
        store = RedisStore(client, f"{KEY_PREFIX}memory", seen_labels=4)
        for policy in POLICIES:
            await store.clear()
            capacity = Capacity(samples=4, bytes=10**6, policy=policy)
            for number in range(16):
                made = make_sample(f"label-{number}", "a" if number < 12 else "b", number, shows=number % 3)
                await store.admit(made, capacity, chance_of(1, made.label_id))
                await store.replace(made, capacity, chance_of(1, made.label_id))
        assert len(await store.draw(Uniform(4), 3)) == 4
        assert len(await store.draw(Balanced(2), 3)) == 4
        assert set((await store.stats()).domains) == {"a", "b"}
        assert await store.offsets() == {("labels", 0): 16}
        await store.clear()
        assert not (await store.stats()).domains
        with answering():
            lock = Lock(client, leader_key(KEY_PREFIX), timeout=10)
            assert await lock.acquire(blocking=False)
            await lock.reacquire()
            await lock.release()


class TestTheWholeMemory(SampleStoreContract):
    """The contract of every store, with nothing but the learner's rights."""

    @pytest.fixture
    async def store(self, redis: SecuredRedis) -> AsyncIterator[RedisStore]:
        async with open_redis(redis.settings("learner")) as client:
            yield RedisStore(client, f"{KEY_PREFIX}{uuid.uuid4().hex}")


async def test_both_memories_are_used_with_these_rights(redis: SecuredRedis, admin: Redis) -> None:
    await use_everything(redis)


@pytest.mark.parametrize("command", redis_commands())
async def test_no_command_is_allowed_that_is_not_needed(redis: SecuredRedis, admin: Redis, command: str) -> None:
    await admin.script_flush()
    await admin.execute_command("ACL", "SETUSER", "learner", f"-{command}")
    with pytest.raises(AccessRefusedError, match="Redis refuses our user"):
        await use_everything(redis)


@pytest.mark.parametrize(
    "command",
    [
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "learner", "+@all"),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "LIST"),
        ("SAVE",),
        ("SHUTDOWN",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MONITOR",),
        ("PUBLISH", "channel", "message"),
        ("EXPIRE", "{weldstream:memory}:seen", "1"),
        ("RENAME", "{weldstream:memory}:seen", "{weldstream:memory}:gone"),
    ],
    ids=" ".join,
)
async def test_other_commands_are_refused(redis: SecuredRedis, command: tuple[str, ...]) -> None:
    async with open_redis(redis.settings("learner")) as client:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)


@pytest.mark.parametrize("key", ["other", "weldstream:memory", "{other:memory}:seen", "{weldstream"])
async def test_other_keys_are_refused(redis: SecuredRedis, admin: Redis, key: str) -> None:
    await admin.hset(key, "field", "value")
    async with open_redis(redis.settings("learner")) as client:
        with pytest.raises(NoPermissionError):
            await client.hgetall(key)
        with pytest.raises(NoPermissionError):
            await client.delete(key)
        with pytest.raises((NoPermissionError, ResponseError)):  # declared, as the memory's scripts do
            await client.eval("return redis.call('DEL', KEYS[1])", 1, key)
        with pytest.raises((NoPermissionError, ResponseError)):  # and hidden in a script
            await client.eval(f"return redis.call('DEL', '{key}')", 0)
    assert await admin.exists(key)


async def refusal(redis: SecuredRedis, **changes: object) -> str:
    async with open_redis(redis.settings("learner", **changes)) as client:
        with pytest.raises(AccessRefusedError) as caught:
            await RedisStore(client, f"{KEY_PREFIX}memory").stats()
    assert not caught.value.retriable
    return str(caught.value)


async def test_a_wrong_password(redis: SecuredRedis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = await refusal(redis, password=WRONG)
    assert "Redis refuses our user" in said
    assert WRONG not in said + caplog.text
    assert redis.passwords["learner"] not in said + caplog.text


async def test_no_password(redis: SecuredRedis) -> None:
    """The user that everyone is without a password is off."""
    assert "Redis refuses our user" in await refusal(redis, username=None, password=None)


async def test_a_server_of_an_unknown_authority(redis: SecuredRedis) -> None:
    # The server sends its authority too, which we do not know.
    said = await refusal(redis, ca_file=str(redis.certificates.other_ca_file))
    assert said == "the certificate of Redis is refused: self-signed certificate in certificate chain"


async def test_a_certificate_for_another_name(redis: SecuredRedis) -> None:
    assert "Hostname mismatch" in await refusal(redis, url=f"rediss://localhost:{redis.server.port}/0")


async def test_without_encryption(redis: SecuredRedis) -> None:
    async with open_redis(redis.settings("learner", url=f"redis://127.0.0.1:{redis.server.port}/0")) as client:
        with pytest.raises(ServiceUnavailableError):
            await RedisStore(client, f"{KEY_PREFIX}memory").stats()


def test_the_command_prints_the_rule(redis: SecuredRedis) -> None:
    printed = CliRunner().invoke(app, ["acls", "redis", "--user", "teacher", "--key-prefix", "odd*:"])
    assert printed.exit_code == 0
    assert printed.output.startswith("user teacher on resetkeys resetchannels ~{odd\\*:* -@all +")
