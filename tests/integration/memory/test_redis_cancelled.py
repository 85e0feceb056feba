import asyncio
import random

from redis.asyncio import Redis

from memory.stores.redis import RedisStore, open_redis
from schemas.settings import RedisSettings

ROUNDS = 300


async def test_a_cancellation_is_heeded_at_whatever_moment_it_comes(redis_settings: RedisSettings) -> None:
    """Before Python 3.12 the client forgets one that comes together with what it waits for."""
    rng = random.Random(5)
    client: Redis = open_redis(redis_settings)
    store = RedisStore(client, redis_settings.key_prefix)
    moment = await _seconds_of_a_call(store)

    async def ask_for_ever() -> None:
        while True:
            await store.stats()

    for _ in range(ROUNDS):
        asking = asyncio.create_task(ask_for_ever())
        await asyncio.sleep(rng.random() * 4 * moment)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=10)
        assert done, "the task went on asking"
        assert asking.cancelled()
    await client.aclose()


async def _seconds_of_a_call(store: RedisStore) -> float:
    began = asyncio.get_running_loop().time()
    await store.stats()
    await store.stats()
    return (asyncio.get_running_loop().time() - began) / 2
