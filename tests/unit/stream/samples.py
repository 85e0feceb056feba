from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from schemas import Frame, PixelSpacing, Probe, View
from stream.records import OutRecord

TIME = datetime(2026, 3, 4, 5, 6, 7, 890000, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    """What a consumer would hand over."""

    topic: str = "test.frames"
    partition: int = 2
    offset: int = 41
    timestamp: int = 1_760_000_000_000
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def arrived(record: OutRecord) -> Record:
    return Record(topic=record.topic, key=record.key, value=record.value, headers=record.headers)


def make_frame(frame_id: str = "W1-000001", weld_id: str = "W1") -> Frame:
    return Frame(
        frame_id=frame_id,
        weld_id=weld_id,
        position_mm=12.5,
        time=TIME,
        spacing=PixelSpacing(row_mm=0.1, column_mm=0.2),
        view=View.S_SCAN,
        probe=Probe(model="5L64-A2", frequency_mhz=5.0, elements=64),
        procedure="PA-1",
        material="P355 steel",
        gain_db=32.5,
    )


def speckle(dtype: str = "uint8", shape: tuple[int, int] = (17, 23), seed: int = 0) -> NDArray[np.generic]:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.rayleigh(1.0, shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
