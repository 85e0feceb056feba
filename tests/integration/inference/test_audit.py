"""What was judged is proved later, with the real broker and the real registry between."""

from pathlib import Path

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from inference.audit import WeldReport, verify_exported, verify_weld
from inference.settings import InferenceSettings
from schemas.judgements import RecordPosition
from schemas.settings import KafkaSettings
from schemas.topics import FRAMES, JUDGEMENTS, WELD_PASSES
from stream.broker import make_admin, send
from stream.ledger import folder as layout
from stream.ledger import read_states
from stream.ledger.export import export_ledger
from stream.ledger.folder import LedgerFolder
from stream.records import OutRecord
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside, eventually
from tests.integration.inference.tampering import (
    altered,
    both,
    copied,
    records_of,
    state,
    stateless,
    unchanged,
    without,
)

IDLE_SECONDS = 2.0


async def judge(settings: InferenceSettings, outside: Outside, frames: int, welds: int = 2) -> None:
    await outside.register(1)
    for number in range(frames):
        await outside.publish(number, f"weld-{number % welds}", defect=number % 3 == 0)
    async with running(settings):
        await outside.until(JUDGEMENTS, frames)


async def verify(
    settings: InferenceSettings, tmp_path: Path, weld: str = "weld-1", kafka: KafkaSettings | None = None
) -> WeldReport:
    return await verify_weld(kafka or settings.kafka, settings.registry, weld, tmp_path / "verify", rejudge=True)


def problems(report: WeldReport) -> list[str]:
    return [finding.problem for own in report.passes for finding in own.findings]


async def test_a_weld_is_verified_frame_by_frame(settings: InferenceSettings, outside: Outside, tmp_path: Path) -> None:
    await judge(settings, outside, 12)
    report = await verify(settings, tmp_path)
    assert report.holds
    (own,) = report.passes
    assert (own.judgements, own.same, own.gone, own.version) == (6, 6, 0, 1)
    assert own.in_progress
    assert not (await verify(settings, tmp_path, "weld-9")).holds


async def test_an_ended_weld_is_verified_by_its_end(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    serving = settings.serving.model_copy(update={"weld_idle_seconds": IDLE_SECONDS})
    settings = settings.model_copy(update={"serving": serving})
    await outside.register(1)
    async with running(settings) as node:
        for number in range(4):
            await outside.publish(number, "weld-1")
        await outside.until(JUDGEMENTS, 4)
        await eventually(lambda: not any(map(len, node._books())))
        # The same weld again: another pass, whose first batch also publishes the end of the one before.
        for number in range(4, 6):
            await outside.publish(number, "weld-1")
        await outside.until(JUDGEMENTS, 6)
    report = await verify(settings, tmp_path)
    assert report.holds, list(report.lines())
    assert [(own.pass_id, own.judgements, own.in_progress) for own in report.passes] == [
        ("weld-1-0", 4, False),
        ("weld-1-4", 2, True),
    ]
    assert [s.pass_id for s in await read_states(settings.kafka, "weld-1")] == ["weld-1-4"]
    assert len(await records_of(settings.kafka, WELD_PASSES)) == 1
    # The last judgement of the first pass, which no state names any more, and that pass as a whole.
    last = await copied(settings.kafka, "last", without(3))
    assert problems(await verify(settings, tmp_path, kafka=last)) == ["end_missing"]
    changed = await copied(settings.kafka, "changed", altered(3))
    assert problems(await verify(settings, tmp_path, kafka=changed)) == ["end_differs"]


async def test_whatever_is_done_to_the_ledger_of_a_weld_in_progress_is_found(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await judge(settings, outside, 5, welds=1)
    head = "0" * 64
    for name, change, expected in (
        ("copy", unchanged, []),
        ("last-altered", altered(4), ["end_differs"]),
        ("last-dropped", without(4), ["end_missing"]),
        ("middle-altered", altered(3), ["changed"]),
        ("middle-dropped", without(2), ["missing"]),
        ("first-dropped", without(0), ["missing"]),
        ("state-altered", state(head=head), ["end_differs"]),
        ("state-ahead", state(judged=6, head=head), ["end_missing"]),
        ("state-behind", state(judged=4, head=(await head_of(settings, 3))), ["beyond_end"]),
        ("state-and-last-dropped", both(without(4), stateless), ["end_unknown"]),
    ):
        kafka = await copied(settings.kafka, name, change)
        report = await verify(settings, tmp_path, "weld-0", kafka)
        assert problems(report) == expected, name
        assert report.holds == (not expected), name


async def head_of(settings: InferenceSettings, sequence: int) -> str:
    from stream.ledger import read_entries

    return next(e.digest for e in await read_entries(settings.kafka) if e.judgement.chain.sequence == sequence)


async def test_verifying_while_the_weld_goes_on_finds_nothing(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await outside.register(1)
    async with running(settings):
        for number in range(60):
            await outside.publish(number, "weld-1", defect=False)
            if number % 20 == 10:
                await outside.until(JUDGEMENTS, number - 8)
                report = await verify_weld(settings.kafka, settings.registry, "weld-1", tmp_path, rejudge=False)
                assert report.holds, list(report.lines())
        await outside.until(JUDGEMENTS, 60)


async def test_another_model_under_the_same_number_is_found(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await outside.release(1, defect=2)
    await outside.publish(0)
    async with running(settings):
        await outside.until(JUDGEMENTS, 1)
    await outside.register(1, defect=3, sequence=2)
    report = await verify(settings, tmp_path)
    assert not report.holds
    assert report.passes[0].differing == {"weld-1-0": ["model.digest"]}


async def test_a_judgement_that_names_what_is_not_there_is_found(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await judge(settings, outside, 4, welds=1)
    broken = OutRecord(settings.kafka.topic(FRAMES), b"weld-0", b"no image")
    position = await (await send(outside.producer, broken))
    source = RecordPosition(topic=position.topic, partition=position.partition, offset=position.offset)
    model = outside.judgements()[0].model.model_copy(update={"version": 7})
    for name, change, reason in (
        ("source", altered(1, source=source), "missing_header: "),
        ("model", altered(1, model=model), "registry: "),
    ):
        kafka = await copied(settings.kafka, name, change)
        report = await verify(settings, tmp_path, "weld-0", kafka)
        (own,) = report.passes
        ((frame_id, (what,)),) = own.differing.items()
        assert (frame_id, what.startswith(reason), own.same) == ("weld-0-1", True, 3), what


async def test_an_export_is_verified_without_kafka_and_grows_with_each_export(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    folder = tmp_path / "ledger"
    await judge(settings, outside, 12)
    first = await export_ledger(settings.kafka, folder)
    assert (first.judgements, first.lost) == (12, 0)
    assert (await export_ledger(settings.kafka, folder)).judgements == 0
    for number in range(12, 20):
        await outside.publish(number, f"weld-{number % 2}")
    async with running(settings):
        await outside.until(JUDGEMENTS, 20)
    assert (await export_ledger(settings.kafka, folder)).judgements == 8
    rows = [row for file in (folder / "judgements").iterdir() for row in pq.read_table(file).to_pylist()]
    assert sorted(row["frame_id"] for row in rows) == sorted(outside.published)
    by_id = {judgement.frame_id: judgement for judgement in outside.judgements()}
    assert all(row["judged_at"] == by_id[row["frame_id"]].judged_at for row in rows)
    gone = settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    report = await verify_exported(gone, settings.registry, "weld-1", folder, tmp_path / "v", rejudge=False)
    assert report.holds, list(report.lines())
    assert report.passes[0].judgements == 10
    # With the frames at hand they are judged again too, by what the export says.
    report = await verify_exported(settings.kafka, settings.registry, "weld-1", folder, tmp_path / "v", rejudge=True)
    assert (report.holds, report.passes[0].same) == (True, 10)


async def test_what_kafka_no_longer_retains_is_verified_from_the_export(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await judge(settings, outside, 6, welds=1)
    await export_ledger(settings.kafka, tmp_path / "ledger")
    third = next(r for r in await records_of(settings.kafka, JUDGEMENTS) if b'"sequence":3' in (r.value or b""))
    for before, left in ((third.offset, 3), (-1, 0)):
        await delete_records(settings.kafka, TopicPartition(third.topic, third.partition), before)
        report = await verify(settings, tmp_path, "weld-0")
        assert [(own.judgements, own.begins, own.findings) for own in report.passes] == (
            [(left, 3, [])] if left else []
        )
        assert report.holds is bool(left)
        exported = await verify_exported(
            settings.kafka, settings.registry, "weld-0", tmp_path / "ledger", tmp_path / "v", rejudge=True
        )
        assert (exported.holds, exported.passes[0].same) == (True, 6)
    # An export that begins too late says that it does.
    assert (await export_ledger(settings.kafka, tmp_path / "ledger")).lost == 0
    await outside.publish(6, "weld-0")
    async with running(settings):
        await outside.until(JUDGEMENTS, 7)
    await delete_records(settings.kafka, TopicPartition(third.topic, third.partition), -1)
    assert (await export_ledger(settings.kafka, tmp_path / "ledger")).lost > 0


async def delete_records(kafka: KafkaSettings, partition: TopicPartition, before: int) -> None:
    """Let records go, as the end of their retention does."""
    admin = make_admin(kafka)
    await admin.start()
    await admin.delete_records({partition: RecordsToDelete(before_offset=before)})
    await admin.close()


async def test_an_altered_export_is_found(settings: InferenceSettings, outside: Outside, tmp_path: Path) -> None:
    from tests.unit.stream.ledger.test_folder import rewrite

    await judge(settings, outside, 6, welds=1)
    for row, change, said in (
        (2, {"flagged": True}, "the columns flagged"),
        (5, {"uncertainty": 0.5}, "the columns uncertainty"),
        (5, {"record": b"{}"}, None),
    ):
        folder = tmp_path / f"ledger-{row}-{next(iter(change))}"
        await export_ledger(settings.kafka, folder, weld_id="weld-0")
        (file,) = [
            f for f in LedgerFolder(folder).files(layout.JUDGEMENTS) if f.path.stat().st_size and has_rows(f.path)
        ]
        rewrite(file.path, change, row)
        verifying = verify_exported(settings.kafka, settings.registry, "weld-0", folder, tmp_path / "v", rejudge=False)
        if said is None:
            with pytest.raises(layout.LedgerFolderError, match="is no judgement"):
                await verifying
            continue
        report = await verifying
        assert not report.holds
        assert any(said in line for line in report.lines()), list(report.lines())


def has_rows(path: Path) -> bool:
    import pyarrow.parquet as pq

    return bool(pq.read_metadata(path).num_rows)
