"""What a consumer holds of a backlog in memory."""

import asyncio

from schemas.settings import KafkaSettings
from schemas.topics import FRAMES, MIB
from stream.broker import make_consumer, make_producer, send
from stream.records import OutRecord
from stream.topics import ensure_topics

RECORDS, RECORD_BYTES = 24, MIB // 4


async def test_a_partition_is_fetched_bit_by_bit_so_that_the_others_take_turns(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    producer = make_producer(kafka_settings)
    await producer.start()
    topic = kafka_settings.topic(FRAMES)
    records = [
        OutRecord(topic, b"k", bytes(RECORD_BYTES), partition=partition)
        for partition in range(2)
        for _ in range(RECORDS)
    ]
    # Larger than what is fetched at a time: it must come all the same.
    records.append(OutRecord(topic, b"k", bytes(3 * MIB), partition=0))
    for record in records:
        await (await send(producer, record))
    await producer.stop()
    consumer = make_consumer(kafka_settings, (FRAMES,), max_partition_fetch_bytes=MIB)
    await consumer.start()
    try:
        read = [await asyncio.wait_for(consumer.getone(), 20) for _ in records]
    finally:
        await consumer.stop()
    assert max(len(record.value) for record in read) == 3 * MIB
    partitions = [record.partition for record in read]
    first_of_each = [partitions.index(partition) for partition in (0, 1)]
    # All of one partition would lie before the other's first if it were fetched whole.
    assert max(first_of_each) <= 2 * MIB // RECORD_BYTES
