import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from inference.alerts import AlertRule
from inference.jobs import Computed, FrameJob, Rejected, compute
from inference.metrics import InferenceMetrics
from inference.outputs import Outputs
from inference.service import InferenceService
from inference.session import Predictions, SessionLoader
from inference.settings import AlertSettings, FlaggingSettings
from inference.slot import Serving
from inference.welds import OpenWeld, WeldBook
from schemas.events import DefectAlert
from schemas.judgements import Judgement
from schemas.labels import ReviewReason, ReviewRequest
from schemas.topics import ALERTS, JUDGEMENTS, REVIEW_REQUESTS, WELD_PASSES, WELD_STATES
from schemas.welds import PassEnd, WeldState
from stream.codec import FrameLimits, decode_event, decode_raster
from stream.dead_letters import read_dead_letter
from stream.records import OutRecord
from tests.unit.inference.records import KAFKA, Record, as_read, frame_record
from tests.unit.inference.tiny import CLASSES, NOW, make_version, scan, write_model

LIMITS = FrameLimits()


@pytest.fixture
def metrics() -> InferenceMetrics:
    return InferenceMetrics(CollectorRegistry())


def make_service(metrics: InferenceMetrics, suffix: str = "") -> InferenceService:
    return InferenceService(
        classes=CLASSES,
        limits=LIMITS,
        flagging_settings=FlaggingSettings(audit_rate=0, min_uncertainty=1),
        alert_rule=AlertRule(AlertSettings()),
        outputs=Outputs(KAFKA, suffix, not suffix, lambda: NOW),
        metrics=metrics,
        clock=lambda: NOW,
    )


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    return Serving(SessionLoader(1, (48, 64)).load(*write_model(tmp_path)), None)


def serve(service: InferenceService, serving: Serving, *records: Record, max_run: int = 4) -> list[OutRecord]:
    return serve_welds(service, serving, {}, *records, max_run=max_run)


def serve_welds(
    service: InferenceService,
    serving: Serving,
    welds: dict[tuple[int, str], OpenWeld],
    *records: Record,
    max_run: int = 4,
) -> list[OutRecord]:
    """Judge records of partition 0, and return all but the weld states."""
    jobs = [service.read(record) for record in records]
    for job in jobs:
        if isinstance(job, FrameJob):
            frame = job.decoded.frame
            welds.setdefault(job.weld, OpenWeld(frame.weld_id, frame.frame_id, 1, 0.0))
    outcomes, _ = compute(jobs, dict.fromkeys(welds, serving), max_run)
    concluded = service.conclude(outcomes, welds)
    assert set(concluded) == {0}
    count = len(welds)
    return concluded[0][:-count] if count else concluded[0]


def topics(records: list[OutRecord]) -> list[str]:
    return [record.topic.removeprefix("t.") for record in records]


def test_a_frame_with_a_defect(metrics: InferenceMetrics, serving: Serving) -> None:
    record = frame_record()
    judged, alerted, requested = serve(make_service(metrics), serving, record)
    judgement = decode_event(as_read(judged), JUDGEMENTS, Judgement)
    assert judgement.flagged
    assert judgement.source.offset == record.offset
    assert judgement.latency_seconds == 0
    assert (decode_raster(judgement.mask, LIMITS) == (scan() == 255)).all()
    alert = decode_event(as_read(alerted), ALERTS, DefectAlert)
    assert (alert.code, alert.frame_id) == (100, "weld-1-0")
    request = decode_event(as_read(requested), REVIEW_REQUESTS, ReviewRequest)
    assert request.reasons == (ReviewReason.DEFECT,)
    assert request.pixels.data == record.value
    assert request.judgement == judgement
    assert {r.key for r in (judged, alerted, requested)} == {b"weld-1"}


def test_a_shadow_only_judges(metrics: InferenceMetrics, serving: Serving) -> None:
    assert topics(serve(make_service(metrics, "-frozen"), serving, frame_record())) == ["judgements-frozen"]


def test_a_repetition_has_the_same_ids(metrics: InferenceMetrics, serving: Serving) -> None:
    service = make_service(metrics)
    first, second = (serve(service, serving, frame_record(0), frame_record(1)) for _ in range(2))
    ids = [[dict(record.headers)["ce_id"] for record in records] for records in (first, second)]
    assert ids[0] == ids[1]
    assert topics(first) == topics(second)


def test_sizes_are_mixed_and_order_is_kept(metrics: InferenceMetrics, serving: Serving) -> None:
    shapes = [(48, 64), (33, 50), (48, 64), (16, 16), (33, 50)]
    records = [frame_record(n, shape=shape, defect=False) for n, shape in enumerate(shapes)]
    judged = [decode_event(as_read(r), JUDGEMENTS, Judgement) for r in serve(make_service(metrics), serving, *records)]
    assert [j.frame_id for j in judged] == [f"weld-1-{n}" for n in range(5)]
    assert [decode_raster(j.mask, LIMITS).shape for j in judged] == shapes


def test_a_bad_record_becomes_a_dead_letter_among_the_others(metrics: InferenceMetrics, serving: Serving) -> None:
    bad = replace(frame_record(1), value=b"broken")
    out = serve(make_service(metrics), serving, frame_record(0, defect=False), bad, frame_record(2, defect=False))
    assert topics(out) == ["judgements", "dead-letters", "judgements"]
    letter = read_dead_letter(as_read(out[1]))
    assert (letter.reason, letter.original.value, letter.offset) == ("bad_payload", b"broken", 1)
    assert metrics.frames.labels("judged")._value.get() == 2
    assert metrics.dead_letters.labels("bad_payload")._value.get() == 1


class Fragile:
    """A session that fails on every batch with a frame as bright as its poison, or answers it with NaN."""

    def __init__(self, poison: np.ndarray, *, nan: bool) -> None:
        self.version = make_version(1, b"", b"")
        self.poison, self.nan = poison, nan

    def run(self, images: np.ndarray) -> Predictions:
        bad = np.array([np.array_equal(image, self.poison) for image in images])
        if bad.any() and not self.nan:
            raise RuntimeError("the kernel fails")
        confidence = np.ones(images.shape, np.float32)
        confidence[bad] = np.nan
        return Predictions(np.zeros(images.shape, np.uint8), confidence, np.zeros(images.shape, np.float32))


@pytest.mark.parametrize("nan", [False, True])
def test_a_poison_frame_takes_no_other_with_it(metrics: InferenceMetrics, nan: bool) -> None:
    service = make_service(metrics)
    records = [frame_record(n) for n in range(6)]
    poison = service.read(records[3])
    assert isinstance(poison, FrameJob)
    out = serve(service, Serving(Fragile(poison.image, nan=nan), None), *records)  # type: ignore[arg-type]
    assert topics(out) == ["judgements"] * 3 + ["dead-letters"] + ["judgements"] * 2
    assert read_dead_letter(as_read(out[3])).reason == "judging_failed"


def test_runs_are_bounded_and_rejected_frames_cost_none(serving: Serving, metrics: InferenceMetrics) -> None:
    service = make_service(metrics)
    items = [service.read(frame_record(n)) for n in range(5)] + [service.read(Record(value=b""))]
    welds: Mapping[tuple[int, str], Serving] = {(0, "weld-1"): serving}
    outcomes, sizes = compute(items, welds, 2)
    assert sizes == [2, 2, 1]
    assert [type(outcome) for outcome in outcomes] == [Computed] * 5 + [Rejected]


def test_a_weld_is_judged_by_the_session_that_is_its_own(tmp_path: Path, metrics: InferenceMetrics) -> None:
    loader = SessionLoader(1, (48, 64))
    mine = {(0, f"weld-{n}"): Serving(loader.load(*write_model(tmp_path, n)), None) for n in (1, 2)}
    service = make_service(metrics)
    outcomes, _ = compute([service.read(frame_record(n, f"weld-{1 + n % 2}")) for n in range(4)], mine, 8)
    versions = [o.serving.version.model.version for o in outcomes if isinstance(o, Computed)]
    assert versions == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("small", "expected"),
    [("JUDGEMENTS", ["dead-letters"]), ("REVIEW_REQUESTS", ["judgements", "alerts", "dead-letters"])],
)
def test_what_its_topic_cannot_take_becomes_a_dead_letter(
    metrics: InferenceMetrics, serving: Serving, monkeypatch: pytest.MonkeyPatch, small: str, expected: list[str]
) -> None:
    topic = {"JUDGEMENTS": JUDGEMENTS, "REVIEW_REQUESTS": REVIEW_REQUESTS}[small]
    monkeypatch.setattr(f"inference.outputs.{small}", replace(topic, max_message_bytes=1500))
    record = frame_record()
    records = serve(make_service(metrics), serving, record)
    assert topics(records) == expected
    letter = read_dead_letter(as_read(records[-1]))
    assert letter.reason == "oversize"
    assert letter.original.value == record.value


def test_judgements_of_a_weld_are_chained_and_its_state_tells_where(
    metrics: InferenceMetrics, serving: Serving
) -> None:
    service = make_service(metrics)
    welds: dict[tuple[int, str], OpenWeld] = {}
    records = [
        record for n in range(3) for record in serve_welds(service, serving, welds, frame_record(n, defect=False))
    ]
    chain = [decode_event(as_read(record), JUDGEMENTS, Judgement).chain for record in records]
    assert [(link.pass_id, link.sequence) for link in chain] == [("weld-1-0", n) for n in range(3)]
    digests = [hashlib.sha256(record.value or b"").hexdigest() for record in records]
    assert [link.previous for link in chain] == [None, *digests[:2]]
    state = welds[0, "weld-1"].state()
    assert (state.judged, state.head) == (3, digests[2])


def test_a_frame_that_cannot_be_judged_leaves_the_chain_as_it_was(metrics: InferenceMetrics, serving: Serving) -> None:
    service = make_service(metrics)
    welds: dict[tuple[int, str], OpenWeld] = {}
    bad = replace(frame_record(1), value=b"broken")
    out = serve_welds(service, serving, welds, frame_record(0, defect=False), bad, frame_record(2, defect=False))
    judged = [decode_event(as_read(r), JUDGEMENTS, Judgement).chain.sequence for r in (out[0], out[2])]
    assert judged == [0, 1]


def test_the_state_goes_to_the_partition_of_the_frames_until_the_end_of_the_pass_takes_its_place(
    metrics: InferenceMetrics, serving: Serving
) -> None:
    service, book = make_service(metrics), WeldBook((), 0.0)
    job = service.read(replace(frame_record(0, defect=False), partition=3))
    assert isinstance(job, FrameJob)
    welds = {job.weld: book.enter("weld-1", "weld-1-0", 1, 0.0)}
    outcomes, _ = compute([job], {job.weld: serving}, 1)
    (_, state) = service.conclude(outcomes, welds)[3]
    assert (state.topic, state.partition, state.key) == ("t.weld-states", 3, b"weld-1")
    assert decode_event(as_read(state), WELD_STATES, WeldState) == welds[job.weld].state()
    book.close_idle(before=1.0)
    ended, tombstone = service.ended(book, 3)
    assert (ended.topic, ended.partition, ended.key) == ("t.weld-passes", 3, b"weld-1")
    end = decode_event(as_read(ended), WELD_PASSES, PassEnd)
    assert (end.pass_id, end.judged, end.head) == ("weld-1-0", 1, welds[job.weld].head)
    assert (tombstone.topic, tombstone.partition, tombstone.key, tombstone.value) == (
        "t.weld-states",
        3,
        b"weld-1",
        None,
    )
    assert service.ended(book, 3) == []
