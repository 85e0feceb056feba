"""The labels that the first model is trained on: frames of the first domain, labelled before the run begins."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from schemas import ClassTable, LabelledFrame, MediaType
from schemas.settings import KafkaSettings
from stream.broker import make_producer
from stream.codec import encode_raster
from stream.demo.run import send_label
from stream.sources import SourceFrame


def volunteered(scan: SourceFrame, classes: ClassTable, at: datetime) -> LabelledFrame:
    """Return the label of a frame that nobody asked for.

    Raises
    ------
    ValueError
        If the frame has no mask.
    """
    if scan.mask is None:
        msg = f"frame {scan.frame.frame_id} has no mask"
        raise ValueError(msg)
    return LabelledFrame(
        label_id=f"label-{scan.frame.frame_id}",
        labelled_at=at,
        inspector_id="oracle",
        frame=scan.frame,
        pixels=encode_raster(scan.pixels, MediaType.PNG),
        mask=encode_raster(scan.mask, MediaType.PNG),
        classes=classes.codes,
    )


async def send_first_labels(
    kafka: KafkaSettings, scans: Iterable[SourceFrame], classes: ClassTable, at: datetime
) -> int:
    """Send labels of frames that carry their masks and return how many."""
    producer: Any = make_producer(kafka, client_id="demo-first-labels")
    await producer.start()
    try:
        count = 0
        for scan in scans:
            await send_label(producer, kafka, volunteered(scan, classes, at))
            count += 1
        return count
    finally:
        await producer.stop()
