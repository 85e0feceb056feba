"""The export's files on disk; what they hold comes from the real topics in tests/integration/stream/test_ledger.py."""

import builtins
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import PrerequisiteError
from schemas.judgements import Box, ChainLink, Indication, Judgement
from schemas.welds import PassEnd, WeldState
from stream.codec import encode_raster
from stream.ledger import Entry, check_end, check_pass
from stream.ledger import folder as layout
from stream.ledger.exported import read_exported
from stream.ledger.folder import LedgerFolder, LedgerFolderError, Scope
from stream.ledger.table import judgement_row, judgement_schema, mark_row, mark_schema, parquet, row_of
from tests.unit.inference.records import Record
from tests.unit.stream.ledger.test_chain import NOW, chain

SCOPE = Scope(topic="t.judgements")


def with_everything(entry: Entry) -> Entry:
    """A judgement in which no column is empty."""
    box = Box(top_mm=1, left_mm=2, bottom_mm=3, right_mm=4.5)
    found = Indication(code=100, name="crack", area_mm2=2.5, box=box, confidence=0.75)
    changes = {
        "thresholds": {"min_area_mm2": 1.0, "audit_rate": 0.02},
        "indications": (found, found),
        "flagged": True,
        "uncertainty": 0.1 + 0.2,
        "mask": encode_raster(np.eye(8, dtype=np.uint8)),
        "judged_at": datetime(2026, 1, 1, 12, 30, 1, 123456, tzinfo=UTC),
    }
    judgement = Judgement.model_validate_json(entry.judgement.model_copy(update=changes).model_dump_json())
    return Entry.of(judgement, judgement.model_dump_json().encode())


def write(path: Path, entries: list[Entry], first: int = 0, scope: Scope = SCOPE) -> LedgerFolder:
    """An export of one partition, and the end of the last entry's pass."""
    folder = LedgerFolder(path)
    folder.begin(scope)
    with folder.writing(layout.JUDGEMENTS, 0, first, judgement_schema()) as writer:
        for n, entry in enumerate(entries, start=first):
            writer.add(row_of(entry, 0, n, entry.judgement.model_dump_json().encode()))
        writer.next = first + len(entries)
    folder.replace_open([], mark_schema())
    return folder


def end_with(folder: LedgerFolder, entry: Entry) -> None:
    judgement = entry.judgement
    end = PassEnd(
        weld_id=judgement.weld_id,
        pass_id=judgement.chain.pass_id,
        model_version=1,
        judged=judgement.chain.sequence + 1,
        head=entry.digest,
        ended_at=NOW,
    )
    with folder.writing(layout.PASSES, 0, 0, mark_schema()) as writer:
        writer.add(mark_row(end, at_least=True))
        writer.next = 1


def findings(path: Path) -> list[str]:
    read = read_exported(path, "w")
    found = [
        finding.problem
        for key in read.passes.entries.keys() | read.passes.marks.keys()
        for finding in (
            *check_pass(read.passes.entries.get(key, []), cut=read.passes.cut),
            *check_end(read.passes.entries.get(key, []), read.passes.marks.get(key, [])),
        )
    ]
    return found + [f"altered {frame}: {','.join(columns)}" for frame, columns in read.altered.items()]


def rewrite(path: Path, change: dict[str, object], row: int) -> None:
    """Change columns of a row of a Parquet file, as anybody could."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[row] |= change
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_rows_come_back_as_they_were_and_in_types(tmp_path: Path) -> None:
    entry = with_everything(chain(1)[0])
    folder = write(tmp_path, [entry])
    (file,) = folder.files(layout.JUDGEMENTS)
    table = pq.read_table(file.path)
    assert table.schema.equals(judgement_schema())
    value = entry.judgement.model_dump_json().encode()
    assert table.to_pylist() == [judgement_row(entry, Record("t.judgements", 0, 0, value=value))]
    ((found, columns),) = [
        (e, read.altered) for read in [read_exported(tmp_path, "w")] for e in read.passes.entries["w", "w-0"]
    ]
    assert (found, columns) == (entry, {})


def test_every_field_of_a_judgement_has_columns() -> None:
    short = {"source", "model", "chain", "mask"}
    names = set(judgement_schema().names)
    assert set(Judgement.model_fields) - short <= names
    assert {f"source_{n}" for n in ("topic", "partition", "offset")} <= names
    assert {f"model_{n}" for n in ("name", "version", "digest")} <= names
    assert set(ChainLink.model_fields) <= names


def test_an_export_that_nobody_touched_holds(tmp_path: Path) -> None:
    entries = chain(5)
    end_with(write(tmp_path, entries), entries[-1])
    assert findings(tmp_path) == []


def test_what_is_missing_is_found(tmp_path: Path) -> None:
    entries = chain(5)
    for name, left, problem in (
        ("last", entries[:4], ["end_missing"]),
        ("middle", entries[:2] + entries[3:], ["missing"]),
        ("first", entries[1:], ["missing"]),
        ("all", [], ["end_missing"]),
    ):
        end_with(write(tmp_path / name, left), entries[-1])
        assert findings(tmp_path / name) == problem, name


@pytest.mark.parametrize("row", [0, 2, 4])
@pytest.mark.parametrize(
    "change", [{"flagged": True}, {"uncertainty": 0.5}, {"mask": b"other"}, {"source_offset": 99}, {"digest": "0" * 64}]
)
def test_a_changed_column_is_found(tmp_path: Path, change: dict[str, object], row: int) -> None:
    entries = chain(5)
    folder = write(tmp_path, entries)
    end_with(folder, entries[-1])
    rewrite(folder.files(layout.JUDGEMENTS)[0].path, change, row)
    assert findings(tmp_path) == [f"altered w-{row}: {','.join(change)}"]


@pytest.mark.parametrize(("row", "problem"), [(0, "changed"), (2, "changed"), (4, "end_differs")])
def test_a_row_that_was_changed_with_its_record_is_found(tmp_path: Path, row: int, problem: str) -> None:
    entries = chain(5)
    folder = write(tmp_path, entries)
    end_with(folder, entries[-1])
    judgement = entries[row].judgement.model_copy(update={"flagged": True})
    value = judgement.model_dump_json().encode()
    rewrite(folder.files(layout.JUDGEMENTS)[0].path, row_of(Entry.of(judgement, value), 0, row, value), row)
    assert findings(tmp_path) == [problem]


def test_a_changed_byte_of_a_file_is_found(tmp_path: Path) -> None:
    entries = chain(50)
    folder = write(tmp_path, entries)
    end_with(folder, entries[-1])
    path = folder.files(layout.JUDGEMENTS)[0].path
    data = bytearray(path.read_bytes())
    for at in range(4, len(data), len(data) // 40):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        try:
            found = findings(tmp_path)
        except LedgerFolderError:
            continue
        # What is no page, such as statistics, is not read and decides nothing.
        assert found or pq.read_table(path).equals(pq.read_table(pa.BufferReader(bytes(data)))), at


def test_only_what_is_whole_appears(tmp_path: Path) -> None:
    folder = LedgerFolder(tmp_path)
    folder.begin(SCOPE)

    def fail() -> None:
        with folder.writing(layout.JUDGEMENTS, 0, 0, judgement_schema()) as writer:
            writer.add(row_of(chain(1)[0], 0, 0, b"{}"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((tmp_path / layout.JUDGEMENTS).iterdir()) == []
    assert folder.next_offsets(layout.JUDGEMENTS) == {}


def test_the_next_export_goes_on_where_the_folder_ends(tmp_path: Path) -> None:
    entries = chain(5)
    write(tmp_path, entries[:3])
    folder = write(tmp_path, entries[3:], first=3)
    assert folder.next_offsets(layout.JUDGEMENTS) == {0: 5}
    end_with(folder, entries[-1])
    assert findings(tmp_path) == []


def test_memory_is_bounded_by_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "ROWS_PER_GROUP", 4)
    folder = write(tmp_path, chain(10))
    assert pq.ParquetFile(folder.files(layout.JUDGEMENTS)[0].path).num_row_groups == 3


def test_a_state_tells_where_a_pass_in_progress_stood(tmp_path: Path) -> None:
    entries = chain(5)
    folder = write(tmp_path, entries[:4])
    state = WeldState(weld_id="w", pass_id="w-0", model_version=1, judged=5, head=entries[4].digest, stretches=())
    folder.replace_open([mark_row(state, at_least=False)], mark_schema())
    assert findings(tmp_path) == []
    folder.replace_open([mark_row(state, at_least=True)], mark_schema())
    assert findings(tmp_path) == ["end_missing"]


@pytest.mark.parametrize("how", ["since", "retention"])
def test_what_lies_before_the_export_is_not_missed(tmp_path: Path, how: str) -> None:
    entries = chain(5)
    if how == "since":
        folder = write(tmp_path, entries[2:], scope=Scope(topic="t.judgements", since=NOW))
    else:
        folder = write(tmp_path, entries[2:], first=2)
    end_with(folder, entries[-1])
    assert findings(tmp_path) == []


def test_a_scope_takes_what_belongs_into_it() -> None:
    scope = Scope(topic="t.judgements", weld="w", since=NOW)
    assert scope.takes("w", NOW)
    assert not scope.takes("v", NOW)
    assert not scope.takes("w", NOW - timedelta(seconds=1))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerFolderError, match="no exported ledger"):
        read_exported(tmp_path, "w")
    folder = write(tmp_path, chain(1))
    with pytest.raises(LedgerFolderError, match="another folder"):
        folder.begin(Scope(topic="t.judgements", weld="w"))
    (tmp_path / layout.JUDGEMENTS / "notes.txt").touch()
    with pytest.raises(LedgerFolderError, match=r"notes\.txt"):
        folder.files(layout.JUDGEMENTS)


def test_without_pyarrow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PrerequisiteError, match=r"weldstream\[parquet\]"):
        parquet()
