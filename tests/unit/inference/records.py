"""Records as they come from the broker, and the parts of Kafka that unit tests stand in for."""

from dataclasses import dataclass, field

from schemas.settings import KafkaSettings
from schemas.topics import FRAMES
from stream.codec import encode_frame
from stream.records import Headers, OutRecord
from tests.unit.inference.tiny import make_frame, scan

KAFKA = KafkaSettings(topic_prefix="t.")


@dataclass
class Record:
    topic: str = "t.frames"
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_767_268_800_000
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = field(default_factory=tuple)


def as_read(record: OutRecord, offset: int = 0, partition: int = 0) -> Record:
    return Record(record.topic, partition, offset, key=record.key, value=record.value, headers=record.headers)


def frame_record(
    number: int = 0, weld: str = "weld-1", *, defect: bool = True, shape: tuple[int, int] = (48, 64)
) -> Record:
    pixels = scan(number, shape, defect=defect)
    record = encode_frame(make_frame(number, weld), pixels, topic=KAFKA.topic(FRAMES), source="/test")
    return as_read(record, offset=number)
