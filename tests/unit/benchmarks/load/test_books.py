import asyncio
from dataclasses import replace

import pytest

from benchmarks.load.books import Books
from inference.alerts import AlertRule
from inference.jobs import FrameJob
from inference.outputs import Outputs
from inference.settings import AlertSettings
from schemas import Judgement
from schemas.judgements import ChainLink
from schemas.labels import ReviewReason
from schemas.settings import KafkaSettings
from stream.codec import FrameLimits, decode_frame
from stream.preprocessing import prepare
from stream.records import OutRecord
from tests.unit.inference.records import as_read, frame_record
from tests.unit.inference.test_alerts import judgement
from tests.unit.inference.tiny import NOW

OUTPUTS = Outputs(KafkaSettings(), "", speaks=True, clock=lambda: NOW)
DEFECT = 100


def judged(frame: str, position: float, *codes: int) -> Judgement:
    found = judgement(frame, position, *codes)
    chain = ChainLink(pass_id="p", sequence=0, previous=None)
    return Judgement.model_validate(found.model_copy(update={"chain": chain, "thresholds": {}}).model_dump())


def enter(books: Books, record: OutRecord, timestamp: int = 1000) -> None:
    books.take(replace(as_read(record), timestamp=timestamp))


def request_of(found: Judgement) -> OutRecord:
    record = frame_record()
    decoded = decode_frame(record, FrameLimits(max_bytes=1 << 20, max_pixels=1 << 20))
    return OUTPUTS.review_request(FrameJob(record, decoded, prepare(decoded.pixels)), found, (ReviewReason.DEFECT,))


def alert_of(found: Judgement) -> OutRecord:
    (alert,) = AlertRule(AlertSettings()).observe(found, [])
    return OUTPUTS.alert(alert)


def test_what_a_judgement_calls_for_is_missing_until_it_comes() -> None:
    books, found = Books(), judged("f", 0, DEFECT)
    enter(books, OUTPUTS.judgement(found), 1000)
    assert (books.requests.missing, books.alerts.missing) == (1, 1)
    assert not books.settled
    enter(books, alert_of(found), 1003)
    assert (books.requests.missing, books.alerts.missing) == (1, 0)
    assert not books.settled
    enter(books, request_of(found), 1005)
    assert books.settled
    assert (books.alerts.seconds(), books.requests.seconds()) == ([0.003], [0.005])
    assert books.alerts.seconds(since=2.0) == []
    assert books.records == {"judgements": 1, "alerts": 1, "review-requests": 1}
    (line,) = books.lines
    assert (line.frame_id, line.pass_id, line.version) == ("f", "p", 1)


def test_an_alert_along_a_weld_is_wanted_once() -> None:
    books = Books()
    enter(books, OUTPUTS.judgement(judged("a", 0, DEFECT)))
    enter(books, OUTPUTS.judgement(judged("b", 1, DEFECT)))
    assert len(books.alerts.wanted) == 1
    assert len(books.requests.wanted) == 2


def test_what_nothing_calls_for_is_told() -> None:
    books, found = Books(), judged("f", 0, DEFECT)
    enter(books, alert_of(found))
    assert (books.alerts.unasked, books.alerts.missing) == (1, 0)


async def test_what_never_comes_is_not_waited_for_for_ever() -> None:
    books = Books()
    enter(books, OUTPUTS.judgement(judged("f", 0, DEFECT)))
    await books.settle(patience_seconds=0.01)
    assert not books.settled
    with pytest.raises(TimeoutError):
        await books.until(2, patience_seconds=0.01)


async def test_a_judgement_that_comes_is_waited_for() -> None:
    books = Books()
    waiting = asyncio.create_task(books.until(1))
    await asyncio.sleep(0)
    enter(books, OUTPUTS.judgement(judged("f", 0)))
    await waiting
