"""What the README tells a newcomer to type works as it stands, but for the address of the broker."""

import asyncio
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.settings import KafkaSettings
from schemas.topics import FRAMES
from stream.broker import make_consumer
from stream.codec import FrameLimits, decode_frame
from stream.topics import ensure_topics
from tests.conftest import ROOT, unavailable

README = (ROOT / "README.md").read_text("utf-8")
ADDRESS = "127.0.0.1:9092"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


async def run(words: list[str], folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(*words, cwd=folder, stderr=asyncio.subprocess.PIPE)
    _, error = await process.communicate()
    assert process.returncode == 0, error.decode()


async def frame_ids(kafka: KafkaSettings) -> list[str]:
    consumer = make_consumer(kafka, [FRAMES])
    await consumer.start()
    try:
        records = await consumer.getmany(timeout_ms=20_000)
        return [decode_frame(r, FrameLimits()).frame.frame_id for batch in records.values() for r in batch]
    finally:
        await consumer.stop()


async def test_the_python_lines_publish_a_frame(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    code = blocks("python")[0].replace(ADDRESS, kafka_settings.bootstrap_servers)
    code = code.replace("weldstream.frames", kafka_settings.topic(FRAMES))
    await run([sys.executable, "-c", code], ROOT)
    assert await frame_ids(kafka_settings) == ["weld-7-0001"]


async def test_the_kcat_line_publishes_a_frame(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    if shutil.which("kcat") is None:
        unavailable("kcat is not installed")
    await ensure_topics(kafka_settings)
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(tmp_path / "scan.png")
    line = next(line for block in blocks("console") for line in block.splitlines() if line.startswith("kcat -P"))
    words = shlex.split(line.replace(ADDRESS, kafka_settings.bootstrap_servers))
    words = [kafka_settings.topic(FRAMES) if word == "weldstream.frames" else word for word in words]
    await run(words, tmp_path)
    assert await frame_ids(kafka_settings) == ["weld-7-0002"]


def test_the_subscriber_compiles() -> None:
    compile(blocks("python")[1], "README.md", "exec")
