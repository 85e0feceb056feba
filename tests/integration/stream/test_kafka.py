import asyncio
import dataclasses
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from PIL import Image

from memory.key_files import verifier_of
from memory.registry import open_registry
from schemas import Artifact, ClassTable, ModelReleased
from schemas.errors import BadPayloadError
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS, FRAMES, MODEL_RELEASES, TOPICS
from stream.broker import make_admin, make_consumer, make_producer, send, send_and_wait
from stream.codec import FrameLimits, decode_event, decode_frame, encode_frame
from stream.dead_letter_log import list_letters, requeue_letters
from stream.dead_letters import REQUEUES, dead_letter
from stream.records import InRecord, OutRecord
from stream.replayer import replay
from stream.sources import RawArray
from stream.topics import ensure_topics
from tests.contracts.source import ACQUISITION
from tests.keys import signed_registry
from tests.unit.stream.samples import TIME, Record, make_frame, speckle


async def consume(kafka: KafkaSettings, topic: object, count: int) -> list[InRecord]:
    consumer = make_consumer(kafka, (topic,))
    await consumer.start()
    try:
        return [await asyncio.wait_for(consumer.getone(), 20) for _ in range(count)]
    finally:
        await consumer.stop()


@pytest.fixture
async def producer(kafka_settings: KafkaSettings) -> AsyncIterator[object]:
    await ensure_topics(kafka_settings)
    producer = make_producer(kafka_settings)
    await producer.start()
    yield producer
    await producer.stop()


async def test_topics_are_created_once_as_the_table_says(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await asyncio.gather(ensure_topics(kafka_settings), ensure_topics(kafka_settings))
    names = sorted(kafka_settings.topic(topic) for topic in TOPICS)
    assert sorted(first + second) == names
    with caplog.at_level(logging.WARNING, "stream.topics"):
        assert await ensure_topics(kafka_settings) == ()
    assert caplog.messages == []
    admin = make_admin(kafka_settings)
    await admin.start()
    described = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}
    await admin.close()
    assert described == {kafka_settings.topic(topic): topic.partitions for topic in TOPICS}


async def test_a_topic_that_differs_is_left_and_reported(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    other = dataclasses.replace(MODEL_RELEASES, partitions=3, cleanup="delete")
    await ensure_topics(kafka_settings, (other,))
    with caplog.at_level(logging.WARNING, "stream.topics"):
        await ensure_topics(kafka_settings, (MODEL_RELEASES,))
    said = " ".join(caplog.messages)
    assert "cleanup.policy=delete" in said
    assert "partitions=3" in said
    assert "retention" not in said


async def test_frames_survive_the_broker(kafka_settings: KafkaSettings, producer: object) -> None:
    pixels = speckle("uint16", (256, 256))
    out = encode_frame(make_frame(), pixels, topic=kafka_settings.topic(FRAMES), source="s")
    await send_and_wait(producer, out)
    (record,) = await consume(kafka_settings, FRAMES, 1)
    decoded = decode_frame(record, FrameLimits())
    assert decoded.frame == make_frame()
    np.testing.assert_array_equal(decoded.pixels, pixels)


async def test_large_records_pass_and_larger_ones_are_refused(kafka_settings: KafkaSettings, producer: object) -> None:
    topic = kafka_settings.topic(FRAMES)
    await send_and_wait(producer, OutRecord(topic, b"k", bytes(4_000_000)))
    (record,) = await consume(kafka_settings, FRAMES, 1)
    assert len(record.value or b"") == 4_000_000
    with pytest.raises(MessageSizeTooLargeError):
        await send_and_wait(producer, OutRecord(topic, b"k", bytes(5_000_000)))


async def test_dead_letters_are_listed_and_requeued(kafka_settings: KafkaSettings, producer: object) -> None:
    topic = kafka_settings.topic(FRAMES)
    headers = (("a", b"\xff"), ("b", None), ("a", b""))
    bad = [
        Record(topic=topic, key=b"k1", value=b"v1", headers=headers),
        Record(topic=topic, key=None, value=b"\x00\xff"),
        Record(topic=topic),
    ]
    for record, error in zip(bad, (BadPayloadError("cut"), ValueError("odd"), ValueError("odd")), strict=True):
        await send_and_wait(producer, dead_letter(record, error, 2, kafka_settings))
    await send_and_wait(producer, OutRecord(kafka_settings.topic(DEAD_LETTERS), b"stranger", b"x"))

    letters = await list_letters(kafka_settings, lambda _: True, 50)
    assert [stored.letter.message for stored in letters] == ["cut", "odd", "odd"]
    assert [stored.place for stored in letters] == ["0:0", "0:1", "0:2"]
    assert [s.place for s in await list_letters(kafka_settings, lambda _: True, 1)] == ["0:2"]
    by_reason = await list_letters(kafka_settings, lambda stored: stored.letter.reason == "bad_payload", 50)
    assert [stored.place for stored in by_reason] == ["0:0"]

    assert await requeue_letters(kafka_settings, lambda _: True) == (2, 1)
    records = {record.value: record for record in await consume(kafka_settings, FRAMES, 2)}
    first, second = records[b"v1"], records[b"\x00\xff"]
    assert (first.key, tuple(first.headers)) == (b"k1", (*headers, (REQUEUES, b"1")))
    assert (second.key, tuple(second.headers)) == (None, ((REQUEUES, b"1"),))


async def test_no_dead_letters_on_a_fresh_broker(kafka_settings: KafkaSettings) -> None:
    assert await list_letters(kafka_settings, lambda _: True, 50) == []
    await ensure_topics(kafka_settings)
    assert await list_letters(kafka_settings, lambda _: True, 50) == []


async def test_a_source_is_replayed_in_order(kafka_settings: KafkaSettings, producer: object, tmp_path: Path) -> None:
    frames = speckle("uint16", (50, 64)).reshape(50, 8, 8)
    (tmp_path / "scan.bins").write_bytes(frames.astype("<u2").tobytes())
    source = RawArray(tmp_path / "scan.bins", ACQUISITION, dtype="uint16", shape=(8, 8))
    count = await replay(source, lambda record: send(producer, record), topic=kafka_settings.topic(FRAMES), in_flight=7)
    assert count == 50
    decoded = [decode_frame(record, FrameLimits()) for record in await consume(kafka_settings, FRAMES, 50)]
    np.testing.assert_array_equal([d.pixels for d in decoded], frames)
    assert [d.frame.frame_id for d in decoded] == [f"W7-{n:06d}" for n in range(50)]


def command(kafka: KafkaSettings, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "WELDSTREAM_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "COLUMNS": "200",
        **variables,
    }
    executable = Path(sys.executable).with_name("weldstream")
    return subprocess.run(
        [executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


async def test_the_command_line(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(command, kafka_settings, *arguments)

    created = await run("topics", "create")
    assert created.returncode == 0, created.stderr
    assert created.stdout.count("created") == len(TOPICS)

    (tmp_path / "scan.bins").write_bytes(speckle("uint16", (6, 64)).tobytes())
    shape = ("--dtype", "uint16", "--shape", "8,8")
    replayed = await run("replay", str(tmp_path / "scan.bins"), "--weld", "W9", *shape)
    assert replayed.returncode == 0, replayed.stderr
    assert "6 frames of weld W9 published" in replayed.stdout
    records = await consume(kafka_settings, FRAMES, 6)
    assert {decode_frame(record, FrameLimits()).frame.weld_id for record in records} == {"W9"}
    assert (await run("replay", str(tmp_path / "scan.bins"))).returncode == 2

    producer = make_producer(kafka_settings)
    await producer.start()
    await send_and_wait(producer, dead_letter(records[0], BadPayloadError("the payload is cut"), 1, kafka_settings))
    await producer.stop()
    listed = await run("deadletters", "list", "--reason", "bad_payload")
    assert "the payload is cut" in listed.stdout, listed.stderr
    assert "no dead letters" in (await run("deadletters", "list", "--reason", "oversize")).stdout
    assert (await run("deadletters", "requeue")).returncode == 2
    assert (await run("deadletters", "requeue", "--offset", "0:7")).returncode == 1
    requeued = await run("deadletters", "requeue", "--offset", "0:0")
    assert "1 records sent back" in requeued.stdout, requeued.stderr
    back = [dict(record.headers).get(REQUEUES) for record in await consume(kafka_settings, FRAMES, 7)]
    assert back.count(b"1") == 1

    (tmp_path / "scan.bins").write_bytes(b"short")
    cut = await run("replay", str(tmp_path / "scan.bins"), *shape)
    assert cut.returncode == 1
    assert re.fullmatch(r"weldstream: .*scan\.bins.*whole number of frames.*\n", cut.stderr)


async def test_models_are_listed_promoted_and_rolled_back(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    settings = signed_registry(tmp_path)
    key = {"WELDSTREAM_REGISTRY__SIGNING_KEY": str(settings.signing_key)}

    async def run(*arguments: str, keyless: bool = False) -> subprocess.CompletedProcess[str]:
        variables = {"WELDSTREAM_REGISTRY__URI": settings.uri} | ({} if keyless else key)
        return await asyncio.to_thread(command, kafka_settings, *arguments, **variables)

    assert "no versions" in (await run("models", "list")).stdout
    registry = open_registry(settings, publishes=True)
    for labels in (0, 32):
        registry.publish(
            graph=Artifact(sha256="a" * 64, size_bytes=1),
            weights=Artifact(sha256="b" * 64, size_bytes=1),
            parent=None,
            architecture="unet",
            classes=ClassTable(),
            preprocessing="standard-1",
            size_multiple=32,
            labels_learned=labels,
            labels_until={},
            metrics={"dice": 0.5},
            gate=None,
            created_at=TIME,
        )
    for arguments in (("promote", "1"), ("promote", "2"), ("rollback",)):
        done = await run("models", *arguments)
        assert done.returncode == 0, done.stderr
    keyless = await run("models", "promote", "2", keyless=True)
    assert (keyless.returncode, "WELDSTREAM_REGISTRY__SIGNING_KEY" in keyless.stderr) == (1, True)
    releases = [
        decode_event(record, MODEL_RELEASES, ModelReleased)
        for record in await consume(kafka_settings, MODEL_RELEASES, 3)
    ]
    assert [(r.version.model.version, r.kind.value, r.sequence) for r in releases] == [
        (1, "release", 1),
        (2, "release", 2),
        (1, "rollback", 3),
    ]
    verifier = verifier_of(settings)
    assert verifier is not None
    for released in releases:
        verifier.check(released)
    listed = (await run("models", "list")).stdout
    assert len([line for line in listed.splitlines() if "yes" in line]) == 1
    path = tmp_path / "registry" / "models" / "weld" / "versions" / "00000002.json"
    path.write_text(path.read_text().replace("standard-1", "standard-9"))
    assert "bad_signature" in (await run("models", "list")).stdout
    tampered = await run("models", "promote", "2")
    assert (tampered.returncode, "weld v2 is not what key" in tampered.stderr) == (1, True)
    vouched = await run("models", "sign", "2")
    assert "version 2, weights sha256 bbbb" in vouched.stdout, vouched.stderr
    assert (await run("models", "promote", "2")).returncode == 0
    missing = await run("models", "promote", "9")
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1


async def test_simulated_scans_are_published(kafka_settings: KafkaSettings) -> None:
    options = ("--welds", "1", "--frames", "3", "--domains", "2")
    done = await asyncio.to_thread(command, kafka_settings, "simulate", *options)
    assert "6 simulated frames published" in done.stdout, done.stderr
    decoded = [decode_frame(record, FrameLimits()) for record in await consume(kafka_settings, FRAMES, 6)]
    assert len({d.frame.frame_id for d in decoded}) == 6
    assert len({d.frame.domain for d in decoded}) == 2


async def test_kcat_publishes_a_frame(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """What acquisition software in any language does: headers and the bytes of a PNG file."""
    kcat = shutil.which("kcat")
    if kcat is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kcat is not installed")
        pytest.skip("kcat is not installed")
    await ensure_topics(kafka_settings, (FRAMES,))
    pixels = speckle("uint16", (256, 256))
    path = tmp_path / "frame.png"
    Image.fromarray(pixels).save(path)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "W1-000001",
        "ce_source": "scanner/7",
        "ce_type": "weldstream.frame.v1",
        "ce_time": "2026-03-04T05:06:07.89Z",
        "content-type": "image/png",
        "ce_positionmm": "12.5",
        "ce_rowmm": "0.1",
        "ce_columnmm": "0.2",
        "ce_view": "S-scan",
        "ce_probemodel": "5L64-A2",
        "ce_probemhz": "5",
        "ce_probeelements": "64",
        "ce_procedure": "PA-1",
        "ce_material": "P355 steel",
        "ce_gaindb": "32.5",
    }
    arguments = [part for name, value in headers.items() for part in ("-H", f"{name}={value}")]
    broker = ("-b", kafka_settings.bootstrap_servers, "-t", kafka_settings.topic(FRAMES))
    await asyncio.to_thread(
        subprocess.run, [kcat, "-P", *broker, "-k", "W1", *arguments, str(path)], check=True, timeout=30
    )
    (record,) = await consume(kafka_settings, FRAMES, 1)
    decoded = decode_frame(record, FrameLimits())
    assert decoded.frame == make_frame()
    np.testing.assert_array_equal(decoded.pixels, pixels)


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
async def test_what_is_compressed_arrives_as_it_was_sent(
    compression: Literal["none", "lz4", "zstd"], kafka_settings: KafkaSettings
) -> None:
    settings = kafka_settings.model_copy(update={"compression": compression})
    await ensure_topics(settings)
    sender: Any = make_producer(settings)
    receiver: Any = make_consumer(settings, [FRAMES])
    value = b"speckle" * 10_000
    await sender.start()
    await send_and_wait(sender, OutRecord(settings.topic(FRAMES), b"weld", value, ()))
    await sender.stop()
    await receiver.start()
    try:
        batches = await receiver.getmany(timeout_ms=20_000)
        assert [record.value for records in batches.values() for record in records] == [value]
    finally:
        await receiver.stop()
