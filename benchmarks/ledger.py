"""``python -m benchmarks.ledger``: what it costs to keep the ledger as Parquet, and to check a weld in it."""

import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

from benchmarks.figures import Figure, measured, print_table, write_results
from schemas.judgements import Box, ChainLink, Indication, Judgement, ModelRef, RecordPosition
from stream.codec import encode_raster
from stream.ledger import Entry, check_pass
from stream.ledger import folder as layout
from stream.ledger.exported import read_exported
from stream.ledger.folder import LedgerFolder, Scope
from stream.ledger.table import judgement_schema, mark_schema, row_of

RESULTS = Path(__file__).resolve().parent / "results" / "ledger.json"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SIDE = 256
FIRST, MORE = 10_000, 40_000
FRAMES_OF_WELD = 500
WELDS_AT_ONCE = 4


def judgements(rows: int) -> Iterator[tuple[Entry, bytes]]:
    """Yield chained judgements of some welds at a time, frames of 256 x 256 with two indications."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[40:60, 80:120], mask[150:155, 30:40] = 1, 2
    box = Box(top_mm=4, left_mm=8, bottom_mm=6, right_mm=12)
    found = Indication(code=100, name="crack", area_mm2=8.0, box=box, confidence=0.9)
    first = Judgement(
        frame_id="f",
        weld_id="w",
        position_mm=0.0,
        frame_time=BEGAN,
        domain="pa-01_5l64-a32_5mhz_s235",
        source=RecordPosition(topic="weldstream.frames", partition=0, offset=0),
        pixels_sha256="0" * 64,
        model=ModelRef(name="weld", version=12, digest="1" * 64),
        preprocessing="standard-1",
        thresholds={"min_area_mm2": 1.0, "min_confidence": 0.5, "min_uncertainty": 0.5, "audit_rate": 0.02},
        chain=ChainLink(pass_id="f", sequence=0, previous=None),  # noqa: S106 - the id of a pass
        judged_at=BEGAN,
        mask=encode_raster(mask),
        classes=(100, 2011, 300, 401, 402),
        indications=(found, found),
        uncertainty=0.25,
        flagged=True,
        latency_seconds=0.05,
        compute_seconds=0.03,
    )
    heads: dict[str, tuple[int, str | None]] = {}
    for n in range(rows):
        weld = f"weld-{n // (FRAMES_OF_WELD * WELDS_AT_ONCE)}-{n % WELDS_AT_ONCE}"
        sequence, previous = heads.get(weld, (0, None))
        judgement = first.model_copy(
            update={
                "frame_id": f"{weld}-{sequence}",
                "weld_id": weld,
                "judged_at": BEGAN + timedelta(milliseconds=n),
                "chain": ChainLink(pass_id=f"{weld}-0", sequence=sequence, previous=previous),
            }
        )
        value = judgement.model_dump_json().encode()
        entry = Entry.of(judgement, value)
        heads[weld] = sequence + 1, entry.digest
        yield entry, value


def write(folder: LedgerFolder, rows: int) -> float:
    """Write so many rows and return the seconds that the writer took."""
    spent = 0.0
    with folder.writing(layout.JUDGEMENTS, 0, 0, judgement_schema()) as writer:
        for n, (entry, value) in enumerate(judgements(rows)):
            began = time.process_time()
            writer.add(row_of(entry, 0, n, value))
            spent += time.process_time() - began
        writer.next = rows
    folder.replace_open([], mark_schema())
    return spent


def new_folder(path: Path) -> LedgerFolder:
    """Return an empty export."""
    folder = LedgerFolder(path)
    folder.begin(Scope(topic="weldstream.judgements"))
    return folder


def measure(scratch: Path) -> list[Figure]:
    """Write, read, and return what it cost."""
    resident = psutil.Process().memory_info
    write(new_folder(scratch / "first"), FIRST)
    before = resident().rss
    folder = new_folder(scratch / "ledger")
    seconds = write(folder, FIRST + MORE)
    grown = (resident().rss - before) / 2**20
    began = time.perf_counter()
    entries = read_exported(folder.path, "weld-3-1").passes.entries["weld-3-1", "weld-3-1-0"]
    findings = check_pass(entries)
    checked = time.perf_counter() - began
    if findings or len(entries) != FRAMES_OF_WELD:
        raise RuntimeError(f"{len(entries)} judgements were read back, {findings}")
    rows = FIRST + MORE
    method = f"{rows:,} judgements of {SIDE} x {SIDE} frames, {WELDS_AT_ONCE} welds at a time, processor time, no Kafka"
    return [
        measured("ledger rows written as Parquet/s", rows / seconds, "rows/s", method, at_least=3000),
        measured("memory that a longer export takes more", grown, "MiB", f"{rows:,} rows after {FIRST:,}", at_most=64),
        measured(
            f"weld of {FRAMES_OF_WELD} judgements checked in an export",
            checked,
            "s",
            f"found among {rows:,} rows, columns compared with records, chain checked",
            at_most=10,
        ),
    ]


def main() -> int:
    """Measure, write, print; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="weldstream-") as scratch:
        figures = measure(Path(scratch))
    write_results(figures, RESULTS)
    print_table(figures, Console())
    return int(not all(figure.passed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
