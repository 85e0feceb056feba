"""What the commands that publish frames share."""

from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.settings import KafkaSettings
from schemas.topics import FRAMES
from stream.broker import make_producer, send
from stream.replayer import replay
from stream.sources import Source
from stream.topics import ensure_topics


async def publish(kafka: KafkaSettings, source: Source, *, origin: str, total: int, speed: float | None) -> int:
    """Publish a source to the frames topic with a progress bar; return the number of frames."""
    await ensure_topics(kafka, (FRAMES,))
    producer: Any = make_producer(kafka, client_id="weldstream-publisher")
    await producer.start()
    try:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns) as progress:
            task = progress.add_task("publishing", total=total)
            return await replay(
                source,
                lambda record: send(producer, record),
                topic=kafka.topic(FRAMES),
                origin=origin,
                speed=speed,
                on_sent=lambda _: progress.advance(task),
            )
    finally:
        await producer.stop()
