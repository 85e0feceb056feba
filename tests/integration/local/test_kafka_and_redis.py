import asyncio
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from schemas.settings import KafkaSettings, RedisSettings
from stream.local.kafka import LARGEST_RECORD_BYTES


async def test_a_record_of_the_largest_size_comes_back_as_it_was_sent(kafka_settings: KafkaSettings) -> None:
    topic = f"{kafka_settings.topic_prefix}large"
    value = uuid.uuid4().bytes * (8 * 1024 * 1024 // 16)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()

    async with AIOKafkaProducer(
        bootstrap_servers=kafka_settings.bootstrap_servers, max_request_size=LARGEST_RECORD_BYTES
    ) as producer:
        sent = await producer.send_and_wait(topic, value)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka_settings.bootstrap_servers, max_partition_fetch_bytes=LARGEST_RECORD_BYTES
    ) as consumer:
        partition = TopicPartition(topic, sent.partition)
        consumer.assign([partition])
        consumer.seek(partition, sent.offset)
        record = await asyncio.wait_for(consumer.getone(partition), 30)

    assert record.value == value


async def test_redis_refuses_to_evict(redis_settings: RedisSettings) -> None:
    async with Redis.from_url(redis_settings.url.get_secret_value()) as redis:
        policy = await redis.config_get("maxmemory-policy")
        assert policy["maxmemory-policy"] in ("noeviction", b"noeviction")
        key = f"{redis_settings.key_prefix}sample"
        await redis.set(key, b"\x00\xff")
        assert await redis.get(key) == b"\x00\xff"
