import pytest
from prometheus_client import CollectorRegistry

from learner.books import Books
from learner.holdout import HoldoutRule, ValidationSet
from learner.inspectors import Standings
from learner.intake import Intake
from learner.labels import Label, Prequential
from learner.rollback import RollbackWatch
from learner.settings import HoldoutSettings
from learner.telemetry import LearnerMetrics
from memory.episodic import EpisodicMemory
from schemas.errors import BadPayloadError, ServiceUnavailableError, WeldstreamError
from schemas.inspectors import InspectorStanding, Standing
from stream.crash_points import CrashPoints
from stream.records import InRecord
from tests.unit.learner.records import (
    CLASSES,
    GIVEN,
    READ,
    TOPIC,
    Record,
    counted,
    make_label,
    make_memory,
    make_sample,
)

SERVED = counted(found=9, missed=1)

Refused = list[tuple[int, WeldstreamError]]


class Desk:
    """An intake with a memory in this process, fed from a list of what each offset reads as."""

    def __init__(
        self,
        *readings: Label | Exception,
        share: float = 0.0,
        memory: EpisodicMemory | None = None,
        memory_bytes: int = 10**6,
        cursor: int = 0,
        unreadable: bool = False,
        dead_letters_fail: bool = False,
    ) -> None:
        self.readings = readings
        self.unreadable = unreadable
        self.dead_letters_fail = dead_letters_fail
        self.read_offsets: list[int] = []
        self.refused: Refused = []
        self.books = Books(TOPIC, known_limit=100)
        self.memory = memory or make_memory(size=memory_bytes)
        self.validation = ValidationSet(make_memory(size=memory_bytes))
        self.prequential = Prequential(CLASSES)
        self.standings = Standings()
        self.watch = RollbackWatch(window=1, margin=0.1)
        self.watch.serves(7, parent=6)
        self.registry = CollectorRegistry()
        self.intake = Intake(
            read=self._read,
            books=self.books,
            holdout=HoldoutRule(HoldoutSettings(share=share)),
            validation=self.validation,
            admit=self.memory.admit,
            refuse=self._refuse,
            prequential=self.prequential,
            watch=self.watch,
            standings=self.standings,
            guard=None,
            cursor={(TOPIC, 0): cursor},
            metrics=LearnerMetrics(self.registry),
            crash=CrashPoints(),
        )

    async def _read(self, record: InRecord) -> tuple[Label, bool]:
        self.read_offsets.append(record.offset)
        reading = self.readings[record.offset]
        if isinstance(reading, Exception):
            raise reading
        return reading, self.unreadable

    async def _refuse(self, record: InRecord, error: WeldstreamError) -> None:
        if self.dead_letters_fail:
            raise ServiceUnavailableError("the dead letters do not answer")
        self.refused.append((record.offset, error))

    async def take(self, *offsets: int) -> None:
        for offset in offsets:
            await self.intake.take(Record(offset=offset))

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"weldstream_learner_{name}", labels) or 0.0

    def outcomes(self) -> dict[str, float]:
        names = ("held_out", "duplicate", "dead_letter", "learned")
        return {name: n for name in names if (n := self.count("labels_total", outcome=name))}

    @property
    def settled_until(self) -> int:
        return self.books.progress.offsets()[0]

    async def remembered(self) -> int:
        return sum(domain.stored for domain in (await self.memory.stats()).domains.values())


async def test_an_admitted_label_is_remembered_and_waits_to_be_learned() -> None:
    desk = Desk(make_label(0, served_by=7, served=SERVED))
    assert not desk.intake.arrived.is_set()
    await desk.take(0)
    assert list(desk.books.pending) == ["label-0"]
    assert await desk.remembered() == 1
    assert len(desk.validation) == 0
    assert desk.settled_until == 0
    assert desk.intake.arrived.is_set()
    assert desk.watch.due
    assert desk.outcomes() == {}
    assert desk.count("pending_labels") == 1
    assert desk.count("label_age_seconds_sum", event="received") == (READ - GIVEN).total_seconds()


async def test_a_held_out_label_is_judged_and_kept_but_never_learned() -> None:
    desk = Desk(make_label(0, served_by=7, served=SERVED), share=1.0)
    await desk.take(0)
    assert [sample.label_id for sample in desk.validation.newest(9)] == ["label-0"]
    assert await desk.remembered() == 0
    assert not desk.books.pending
    assert desk.books.knows("label-0")
    assert desk.settled_until == 1
    assert desk.intake.arrived.is_set()
    assert desk.watch.due
    assert desk.outcomes() == {"held_out": 1}


async def test_a_label_that_waits_or_is_done_is_a_repetition() -> None:
    desk = Desk(*[make_label(0, offset=offset) for offset in range(3)])
    await desk.take(0, 1)
    assert list(desk.books.pending) == ["label-0"]
    assert desk.books.progress.ahead() == {0: [1]}
    desk.books.settle(desk.books.pending["label-0"])
    await desk.take(2)
    assert not desk.books.pending
    assert desk.settled_until == 3
    assert desk.outcomes() == {"duplicate": 2}


async def test_a_repeated_held_out_label_is_counted_once() -> None:
    desk = Desk(*[make_label(0, offset=offset) for offset in range(2)], share=1.0)
    await desk.take(0, 1)
    assert len(desk.validation) == 1
    assert desk.settled_until == 2
    assert desk.outcomes() == {"held_out": 1, "duplicate": 1}


@pytest.mark.parametrize(("cursor", "learned"), [(6, True), (5, False), (0, False)])
async def test_a_label_that_only_the_memory_knows_is_learned_if_it_was_taken_in_before(
    cursor: int, learned: bool
) -> None:
    memory = make_memory()
    await memory.admit(make_sample(0, offset=5))
    desk = Desk(*[make_label(0, offset=5, served_by=7, served=SERVED)] * 6, memory=memory, cursor=cursor)
    await desk.take(5)
    assert list(desk.books.pending) == (["label-0"] if learned else [])
    assert desk.outcomes() == ({} if learned else {"duplicate": 1})
    assert desk.settled_until == (5 if learned else 6)
    assert desk.watch.due is learned


async def test_the_cursor_of_another_partition_says_nothing() -> None:
    memory = make_memory()
    await memory.admit(make_sample(0, offset=0))
    desk = Desk(make_label(0, partition=1), memory=memory, cursor=100)
    await desk.intake.take(Record(partition=1, offset=0))
    assert not desk.books.pending
    assert desk.outcomes() == {"duplicate": 1}


async def test_a_record_that_can_never_be_learned_goes_to_the_dead_letters() -> None:
    error = BadPayloadError("no image")
    desk = Desk(error, make_label(1))
    await desk.take(0)
    assert desk.refused == [(0, error)]
    assert desk.settled_until == 1
    assert not desk.books.pending
    assert not desk.intake.arrived.is_set()
    assert not desk.watch.due
    assert desk.outcomes() == {"dead_letter": 1}
    await desk.take(1)
    assert list(desk.books.pending) == ["label-1"]


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_label_larger_than_the_memory_goes_to_the_dead_letters(share: float) -> None:
    desk = Desk(make_label(0), share=share, memory_bytes=10)
    await desk.take(0)
    assert [(offset, error.reason) for offset, error in desk.refused] == [(0, "memory_full")]
    assert not desk.books.pending
    assert not desk.books.knows("label-0")
    assert desk.settled_until == 1
    assert desk.outcomes() == {"dead_letter": 1}


@pytest.mark.parametrize(
    ("error", "raised", "fail"),
    [(BadPayloadError("no image"), ServiceUnavailableError, True), (ZeroDivisionError(), ZeroDivisionError, False)],
    ids=["refused in vain", "a mistake of ours"],
)
async def test_what_no_dead_letter_holds_is_not_settled(error: Exception, raised: type[Exception], fail: bool) -> None:
    desk = Desk(error, dead_letters_fail=fail)
    with pytest.raises(raised):
        await desk.take(0)
    assert desk.refused == []
    assert desk.settled_until == 0
    assert desk.outcomes() == {}


async def test_a_record_read_before_is_not_even_looked_at() -> None:
    desk = Desk(make_label(0), make_label(1))
    await desk.take(0, 0, 1, 1, 0)
    assert desk.read_offsets == [0, 1]
    assert desk.outcomes() == {}


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_every_new_label_scores_the_version_that_judged_it_once(share: float) -> None:
    labels = [make_label(0, "b", offset=offset, served_by=5, served=SERVED) for offset in range(2)]
    other = make_label(2, "b", served_by=5, served=counted(found=0, missed=2))
    desk = Desk(*labels, other, share=share)
    await desk.take(0, 1)
    assert desk.prequential.dice(5, "b") == pytest.approx(SERVED.dice)
    await desk.take(2)
    assert desk.prequential.dice(5, "b") == pytest.approx(18 / 21)
    assert desk.count("prequential_dice", domain="b") == pytest.approx(18 / 21)
    assert desk.prequential.dice(7, "b") is None


@pytest.mark.parametrize("unreadable", [True, False])
async def test_judgements_that_cannot_be_read_are_counted(unreadable: bool) -> None:
    desk = Desk(make_label(0), make_label(1), unreadable=unreadable)
    await desk.take(0, 1)
    assert desk.count("unreadable_judgements_total") == (2 if unreadable else 0)
    assert desk.prequential.dice(7, "a") is None
    assert len(desk.books.pending) == 2


def stand(desk: Desk, standing: Standing) -> None:
    desk.standings.decide(
        InspectorStanding(
            inspector_id="mallory", standing=standing, reason="test", decided_by="person", decided_at=GIVEN
        )
    )


async def test_a_label_of_a_quarantined_inspector_is_set_aside() -> None:
    desk = Desk(make_label(0, inspector="mallory"), make_label(1, inspector="ann"))
    stand(desk, Standing.QUARANTINED)
    await desk.take(0, 1)
    ((offset, error),) = desk.refused
    assert (offset, error.reason) == (0, "inspector_quarantined")
    assert list(desk.books.pending) == ["label-1"]
    assert not desk.books.knows("label-0")


async def test_a_label_of_a_revoked_inspector_is_passed_over() -> None:
    desk = Desk(make_label(0, inspector="mallory"), make_label(1, inspector="ann"))
    stand(desk, Standing.REVOKED)
    await desk.take(0, 1)
    assert not desk.refused
    assert await desk.remembered() == 1
    assert desk.settled_until == 1
    assert desk.count("labels_total", outcome="revoked") == 1


async def test_an_inspector_trusted_again_is_learned_from() -> None:
    desk = Desk(make_label(0, inspector="mallory"))
    stand(desk, Standing.QUARANTINED)
    stand(desk, Standing.TRUSTED)
    await desk.take(0)
    assert list(desk.books.pending) == ["label-0"]


async def test_a_struck_label_is_passed_over_but_not_the_same_label_sent_again() -> None:
    desk = Desk(make_label(0), make_label(0, offset=1))
    desk.books.struck["0:0"] = None
    await desk.take(0)
    assert not desk.books.pending
    assert await desk.remembered() == 0
    assert desk.settled_until == 1
    await desk.take(1)
    assert list(desk.books.pending) == ["label-0"]
