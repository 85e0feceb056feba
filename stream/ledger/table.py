"""A judgement as a row of a table, and the end of a pass as another. Needs the extra ``parquet``."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from schemas.errors import PrerequisiteError
from schemas.judgements import Judgement
from schemas.welds import PassEnd, WeldState
from stream.ledger.chain import Entry
from stream.records import InRecord

Row = dict[str, Any]


def parquet() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module.

    Raises
    ------
    PrerequisiteError
        If they are not installed; the message names the extra that installs them.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise PrerequisiteError(
            "the ledger as a table needs pyarrow, which is not installed: pip install 'weldstream[parquet]'"
        ) from None
    return pa, pq


@cache
def judgement_schema() -> Any:
    """Return the columns of a judgement: all that it says, where it lies, and the record itself."""
    pa, _ = parquet()
    time = pa.timestamp("us", tz="UTC")
    sides = ("top_mm", "left_mm", "bottom_mm", "right_mm")
    indication = pa.struct(
        [
            ("code", pa.int32()),
            ("name", pa.string()),
            ("area_mm2", pa.float64()),
            ("confidence", pa.float64()),
            *((side, pa.float64()) for side in sides),
        ]
    )
    columns = {
        "weld_id": pa.string(),
        "pass_id": pa.string(),
        "sequence": pa.int64(),
        "previous": pa.string(),
        "digest": pa.string(),
        "frame_id": pa.string(),
        "position_mm": pa.float64(),
        "frame_time": time,
        "domain": pa.string(),
        "source_topic": pa.string(),
        "source_partition": pa.int32(),
        "source_offset": pa.int64(),
        "pixels_sha256": pa.string(),
        "model_name": pa.string(),
        "model_version": pa.int32(),
        "model_digest": pa.string(),
        "preprocessing": pa.string(),
        "thresholds": pa.map_(pa.string(), pa.float64()),
        "judged_at": time,
        "mask": pa.binary(),
        "mask_media_type": pa.string(),
        "classes": pa.list_(pa.int32()),
        "indications": pa.list_(indication),
        "uncertainty": pa.float64(),
        "flagged": pa.bool_(),
        "latency_seconds": pa.float64(),
        "compute_seconds": pa.float64(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "record": pa.binary(),
    }
    nullable = {"previous", "mask"}
    return pa.schema([pa.field(name, kind, nullable=name in nullable) for name, kind in columns.items()])


@cache
def mark_schema() -> Any:
    """Return the columns of what tells where the chain of a pass ends."""
    pa, _ = parquet()
    columns = {
        "weld_id": pa.string(),
        "pass_id": pa.string(),
        "model_version": pa.int32(),
        "judged": pa.int64(),
        "head": pa.string(),
        "ended_at": pa.timestamp("us", tz="UTC"),
        "at_least": pa.bool_(),
    }
    return pa.schema([pa.field(name, kind, nullable=name in {"head", "ended_at"}) for name, kind in columns.items()])


def judgement_row(entry: Entry, record: InRecord) -> Row:
    """Return the row of a judgement and of the record that holds it."""
    assert record.value is not None
    return row_of(entry, record.partition, record.offset, record.value)


def row_of(entry: Entry, partition: int, offset: int, value: bytes) -> Row:
    """Return the row of a judgement, where it lies, and its bytes."""
    j: Judgement = entry.judgement
    return {
        "weld_id": j.weld_id,
        "pass_id": j.chain.pass_id,
        "sequence": j.chain.sequence,
        "previous": j.chain.previous,
        "digest": entry.digest,
        "frame_id": j.frame_id,
        "position_mm": j.position_mm,
        "frame_time": j.frame_time,
        "domain": j.domain,
        "source_topic": j.source.topic,
        "source_partition": j.source.partition,
        "source_offset": j.source.offset,
        "pixels_sha256": j.pixels_sha256,
        "model_name": j.model.name,
        "model_version": j.model.version,
        "model_digest": j.model.digest,
        "preprocessing": j.preprocessing,
        "thresholds": list(j.thresholds.items()),
        "judged_at": j.judged_at,
        "mask": j.mask.data,
        "mask_media_type": j.mask.media_type,
        "classes": list(j.classes),
        "indications": [
            {"code": i.code, "name": i.name, "area_mm2": i.area_mm2, "confidence": i.confidence, **i.box.model_dump()}
            for i in j.indications
        ],
        "uncertainty": j.uncertainty,
        "flagged": j.flagged,
        "latency_seconds": j.latency_seconds,
        "compute_seconds": j.compute_seconds,
        "partition": partition,
        "offset": offset,
        "record": value,
    }


def mark_row(said: PassEnd | WeldState, *, at_least: bool) -> Row:
    """Return the row of a pass that has ended, or is in progress.

    Parameters
    ----------
    said : PassEnd or WeldState
        What says so.
    at_least : bool
        Whether it was read before the judgements.
    """
    return {
        "weld_id": said.weld_id,
        "pass_id": said.pass_id,
        "model_version": said.model_version,
        "judged": said.judged,
        "head": said.head,
        "ended_at": said.ended_at if isinstance(said, PassEnd) else None,
        "at_least": at_least,
    }


def table_of(rows: Iterable[Mapping[str, Any]], schema: Any) -> Any:
    """Return rows as a table of these columns."""
    pa, _ = parquet()
    return pa.Table.from_pylist(list(rows), schema=schema)
