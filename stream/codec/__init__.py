"""Kafka records to vocabulary and back: the CloudEvents Kafka binding in binary mode.

Every failure to read a record is a ``BadRecordError`` whose sentence a person understands.
"""

from stream.codec.events import decode_event, encode_event
from stream.codec.frames import DecodedFrame, decode_frame, encode_frame, raster_from_frame
from stream.codec.images import FrameLimits
from stream.codec.labels import DecodedLabel, decode_label
from stream.codec.rasters import Fetch, decode_raster, encode_raster

__all__ = [
    "DecodedFrame",
    "DecodedLabel",
    "Fetch",
    "FrameLimits",
    "decode_event",
    "decode_frame",
    "decode_label",
    "decode_raster",
    "encode_event",
    "encode_frame",
    "encode_raster",
    "raster_from_frame",
]
