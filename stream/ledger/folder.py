"""How an exported ledger lies in its folder.

``judgements/`` and ``passes/`` hold one file for each range of offsets of a
Kafka partition, ``PARTITION-FIRST-NEXT.parquet``: a range of the log names
itself, so nothing is exported twice or rewritten, and the next export goes on
where the folder ends. ``open.parquet`` says where the passes stood that were
in progress, ``scope.json`` what is in the folder at all.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from schemas.errors import WeldstreamError
from stream.ledger.table import Row, parquet, table_of

ROWS_PER_GROUP = 1024
"""Rows in memory at once."""
ROWS_PER_FILE = 100_000
JUDGEMENTS, PASSES, OPEN, SCOPE = "judgements", "passes", "open.parquet", "scope.json"
_NAME = re.compile(r"(\d{4})-(\d{15})-(\d{15})\.parquet")


class LedgerFolderError(WeldstreamError):
    """The folder is no export of the ledger, not of this one, or was damaged."""

    reason = "ledger_folder"


class Scope(BaseModel):
    """What a folder holds.

    Attributes
    ----------
    topic : str
        Full name of the topic of judgements.
    weld : str or None
        The only weld, None for all.
    since : datetime or None
        Judgements made before are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    weld: str | None = None
    since: AwareDatetime | None = None

    def takes(self, weld_id: str, at: datetime) -> bool:
        """Tell whether something belongs into the folder."""
        return (self.weld is None or weld_id == self.weld) and (self.since is None or at >= self.since)


@dataclass(frozen=True, slots=True, order=True)
class RangeFile:
    """A file and the offsets that it covers, the last one excluded."""

    partition: int
    first: int
    next: int
    path: Path


class LedgerFolder:
    """Reads and writes the files of an export; a file is there as a whole or not at all.

    Parameters
    ----------
    path : Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self, kind: str) -> list[RangeFile]:
        """Return the files of ``judgements`` or ``passes``, by partition and offset.

        Raises
        ------
        LedgerFolderError
            If something else lies there.
        """
        found = []
        for path in (self.path / kind).glob("[!.]*"):
            match = _NAME.fullmatch(path.name)
            if match is None:
                raise LedgerFolderError(f"{path} is no file of an exported ledger")
            found.append(RangeFile(int(match[1]), int(match[2]), int(match[3]), path))
        return sorted(found)

    def next_offsets(self, kind: str) -> dict[int, int]:
        """Return by partition where the next export goes on."""
        return {file.partition: file.next for file in self.files(kind)}

    def scope(self) -> Scope | None:
        """Return what the folder holds, None where nothing was exported to it.

        Raises
        ------
        LedgerFolderError
            If it cannot be read.
        """
        try:
            return Scope.model_validate_json((self.path / SCOPE).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise LedgerFolderError(f"{self.path / SCOPE} cannot be read: {error}") from None

    def begin(self, scope: Scope) -> None:
        """Make the folder ready for an export.

        Raises
        ------
        LedgerFolderError
            If it holds an export of something else.
        """
        found = self.scope()
        if found not in {None, scope}:
            raise LedgerFolderError(f"{self.path} holds an export of {found!r}, not of {scope!r}; take another folder")
        for kind in (JUDGEMENTS, PASSES):
            (self.path / kind).mkdir(parents=True, exist_ok=True)
        if found is None:
            with _aside(self.path / SCOPE) as temporary:
                temporary.write_text(json.dumps(scope.model_dump(mode="json"), indent=2) + "\n", "utf-8")

    @contextmanager
    def writing(self, kind: str, partition: int, first: int, schema: Any) -> Iterator["RangeWriter"]:
        """Write the file of a range that begins here; it appears at the end, if nothing fails."""
        _, pq = parquet()
        folder = self.path / kind
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
        os.close(descriptor)
        temporary = Path(name)
        try:
            with pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer:
                ranged = RangeWriter(writer, schema, first)
                yield ranged
                ranged.flush()
            _publish(temporary, folder / f"{partition:04d}-{first:015d}-{ranged.next:015d}.parquet")
        finally:
            temporary.unlink(missing_ok=True)

    def replace_open(self, rows: list[Row], schema: Any) -> None:
        """Write anew where the passes in progress stand."""
        _, pq = parquet()
        with _aside(self.path / OPEN) as temporary:
            pq.write_table(table_of(rows, schema), temporary, compression="zstd", write_page_checksum=True)

    def groups(self, path: Path, schema: Any, having: Mapping[str, object]) -> Iterator[Any]:
        """Yield the row groups of a file, as tables of the rows that have these values.

        Raises
        ------
        LedgerFolderError
            If the file is damaged, or has other columns.
        """
        pa, pq = parquet()
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                if not file.schema_arrow.equals(schema):
                    raise LedgerFolderError(f"{path} has other columns than a ledger")
                for number in range(file.num_row_groups):
                    # A weld is in few groups: the others are left after a look at the columns asked for.
                    table = file.read_row_group(number, columns=list(having)) if having else None
                    if table is not None and not all(
                        value in table[name].unique().to_pylist() for name, value in having.items()
                    ):
                        continue
                    group = file.read_row_group(number)
                    for name, value in having.items():
                        group = group.filter([found == value for found in group[name].to_pylist()])
                    yield group
        except (pa.ArrowException, OSError, ValueError) as error:  # names that are no text are a ValueError
            raise LedgerFolderError(f"{path} cannot be read: {error}") from error


class RangeWriter:
    """Writes the rows of one range, some of them at a time.

    Parameters
    ----------
    writer : pyarrow.parquet.ParquetWriter
        Of the file.
    schema : pyarrow.Schema
        Its columns.
    first : int
        First offset of the range.
    """

    def __init__(self, writer: Any, schema: Any, first: int) -> None:
        self._writer = writer
        self._schema = schema
        self._rows: list[Row] = []
        self.next = first
        self.rows = 0

    def add(self, row: Row) -> None:
        """Write a row, sooner or later."""
        self._rows.append(row)
        self.rows += 1
        if len(self._rows) >= ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is in memory."""
        if self._rows:
            self._writer.write_table(table_of(self._rows, self._schema))
            self._rows = []


@contextmanager
def _aside(final: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=final.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        _publish(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def _publish(temporary: Path, final: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    temporary.replace(final)
