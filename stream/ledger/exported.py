"""Reads a weld's passes from an exported ledger, and checks that its columns say what its records say."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.judgements import Judgement
from stream.ledger import folder as layout
from stream.ledger.chain import Entry, Mark, passes
from stream.ledger.folder import LedgerFolder, LedgerFolderError
from stream.ledger.reading import Passes, PassKey
from stream.ledger.table import Row, judgement_schema, mark_schema, row_of, table_of


@dataclass(frozen=True, slots=True)
class ExportedPasses:
    """What an exported ledger says of a weld.

    Attributes
    ----------
    passes : Passes
        As they are read from Kafka.
    altered : dict of str to list of str
        Frames whose columns do not say what their record says, with the names of the columns.
    """

    passes: Passes
    altered: dict[str, list[str]]


def read_exported(path: Path, weld_id: str) -> ExportedPasses:
    """Read the passes of a weld. Blocking.

    Raises
    ------
    PrerequisiteError
        If pyarrow is not installed.
    LedgerFolderError
        If the folder is no exported ledger, or damaged.
    """
    folder = LedgerFolder(path)
    scope = folder.scope()
    if scope is None:
        raise LedgerFolderError(f"{path} holds no exported ledger")
    if scope.weld not in {None, weld_id}:
        raise LedgerFolderError(f"{path} holds weld {scope.weld!r} only")
    firsts = [min(f.first for f in folder.files(layout.JUDGEMENTS) if f.partition == n) for n in _partitions(folder)]
    cut = scope.since is not None or any(firsts)
    entries: list[Entry] = []
    altered: dict[str, list[str]] = {}
    for entry, columns in _entries(folder, weld_id):
        entries.append(entry)
        if columns:
            altered[entry.judgement.frame_id] = columns
    found = passes(entries)
    return ExportedPasses(Passes(found, _marks(folder, weld_id, found, cut=cut), cut), altered)


def _partitions(folder: LedgerFolder) -> set[int]:
    return {file.partition for file in folder.files(layout.JUDGEMENTS)}


def _entries(folder: LedgerFolder, weld_id: str) -> Iterator[tuple[Entry, list[str]]]:
    schema = judgement_schema()
    for file in folder.files(layout.JUDGEMENTS):
        for group in folder.groups(file.path, schema, {"weld_id": weld_id}):
            rows: list[Row] = group.to_pylist()
            read = [_entry(row, file.path) for row in rows]
            # As a table and back, so that both sides have the types of columns.
            expected = table_of(
                (
                    row_of(entry, row["partition"], row["offset"], row["record"])
                    for entry, row in zip(read, rows, strict=True)
                ),
                schema,
            ).to_pylist()
            for entry, row, meant in zip(read, rows, expected, strict=True):
                columns = [name for name in schema.names if row[name] != meant[name]]
                if not file.first <= row["offset"] < file.next or row["partition"] != file.partition:
                    columns.append("offset")
                yield entry, columns


def _entry(row: Row, path: Path) -> Entry:
    value: bytes = row["record"]
    try:
        return Entry.of(Judgement.model_validate_json(value), value)
    except ValidationError as error:
        where = f"partition {row['partition']}, offset {row['offset']}"
        raise LedgerFolderError(f"{path}: the record of {where} is no judgement: {error}") from None


def _marks(
    folder: LedgerFolder, weld_id: str, found: Mapping[PassKey, Sequence[Entry]], *, cut: bool
) -> dict[PassKey, list[Mark]]:
    oldest = min((entries[0].judgement.judged_at for entries in found.values()), default=None)
    marks: dict[PassKey, list[Mark]] = defaultdict(list)
    paths = [file.path for file in folder.files(layout.PASSES)]
    for path in (*paths, folder.path / layout.OPEN):
        for group in folder.groups(path, mark_schema(), {"weld_id": weld_id}):
            for row in group.to_pylist():
                key, ended_at = (row["weld_id"], row["pass_id"]), row["ended_at"]
                earlier = cut and (ended_at is None or oldest is None or ended_at < oldest)
                if key not in found and (earlier or not row["at_least"]):
                    continue  # Judged before what is in the folder, or begun after it.
                marks[key].append(Mark(row["judged"], row["head"], ended_at is not None, row["at_least"]))
    return dict(marks)
