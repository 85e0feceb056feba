import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.labels import KnownLabels, LabelReader, Prequential, claim_checks
from memory.artifacts import ArtifactStore
from memory.files import AtomicFiles
from schemas import ClassTable, Judgement, LabelledFrame, MediaType, ModelRef, Raster, RecordPosition
from schemas.errors import ArtifactNotFoundError, BadMaskError, BadRecordError, MissingHeaderError, OversizeError
from schemas.judgements import ChainLink
from schemas.topics import LABELS
from stream.codec import Fetch, FrameLimits, encode_event, encode_raster
from stream.scoring import Confusion
from tests.unit.learner.records import CLASSES, GIVEN, READ, Record, counted
from tests.unit.stream.samples import make_frame

TABLE = ClassTable()
PIXELS = np.arange(24, dtype=np.uint16).reshape(4, 6)
DRAWN = np.zeros((4, 6), np.uint8)
DRAWN[1, 1:5] = 1
JUDGED = np.zeros((4, 6), np.uint8)
JUDGED[1, 2:6] = 1


def make_judgement(mask: Raster, classes: tuple[int, ...] = TABLE.codes) -> Judgement:
    frame = make_frame()
    return Judgement(
        frame_id=frame.frame_id,
        weld_id=frame.weld_id,
        position_mm=frame.position_mm,
        frame_time=frame.time,
        domain=frame.domain,
        source=RecordPosition(topic="frames", partition=0, offset=0),
        pixels_sha256="0" * 64,
        model=ModelRef(name="weld", version=7, digest="1" * 64),
        preprocessing="test",
        thresholds={},
        chain=ChainLink(pass_id="W1-000001", sequence=0, previous=None),
        judged_at=GIVEN,
        mask=mask,
        classes=classes,
        indications=(),
        uncertainty=0.5,
        flagged=False,
        latency_seconds=0.1,
        compute_seconds=0.1,
    )


def published(
    judgement: Judgement | None = None, mask: NDArray[np.uint8] = DRAWN, pixels: Raster | None = None
) -> Record:
    label = LabelledFrame(
        label_id="L1",
        labelled_at=GIVEN,
        inspector_id="ada",
        frame=make_frame(),
        pixels=pixels or encode_raster(PIXELS),
        mask=encode_raster(mask),
        classes=TABLE.codes,
        judgement=judgement,
    )
    record = encode_event("labels", LABELS, label, key="W1", event_id="L1", source="s", time=GIVEN)
    return Record("labels", partition=2, offset=41, key=record.key, value=record.value, headers=record.headers)


def make_reader(fetch: Fetch | None = None) -> LabelReader:
    return LabelReader(FrameLimits(), TABLE, fetch)


def test_a_label_becomes_a_sample_that_knows_where_it_lies() -> None:
    label, unreadable = make_reader().read(published(), READ)
    sample = label.sample
    assert (sample.label_id, sample.weld_id, sample.domain) == ("L1", "W1", make_frame().domain)
    np.testing.assert_array_equal(sample.pixels, PIXELS, strict=True)
    np.testing.assert_array_equal(sample.mask, DRAWN, strict=True)
    assert sample.source == RecordPosition(topic="labels", partition=2, offset=41)
    assert (label.partition, label.offset) == (2, 41)
    assert (label.labelled_at, label.received_at) == (GIVEN, READ)
    assert (label.served_by, label.served, unreadable) == (None, None, False)


def test_a_judgement_is_counted_against_what_was_drawn() -> None:
    label, unreadable = make_reader().read(published(make_judgement(encode_raster(JUDGED))), READ)
    assert not unreadable
    assert label.served_by == 7
    assert label.served is not None
    # Four pixels drawn, four judged, three of them the same.
    assert label.served.counts[1, 1] == 3
    assert label.served.counts[1, 0] == label.served.counts[0, 1] == 1
    assert label.served.dice == pytest.approx(3 / 4)


def test_a_judgement_is_read_into_our_class_order() -> None:
    judgement = make_judgement(encode_raster(JUDGED), tuple(reversed(TABLE.codes)))
    label, _ = make_reader().read(published(judgement), READ)
    assert label.served is not None
    assert label.served.counts[1, len(TABLE.codes)] == 3


@pytest.mark.parametrize(
    "judgement",
    [
        make_judgement(encode_raster(JUDGED).model_copy(update={"data": b"no image"})),
        make_judgement(encode_raster(JUDGED[:3])),
        make_judgement(encode_raster(JUDGED), (999,)),
        make_judgement(Raster(media_type=MediaType.PNG, uri="x", sha256="0" * 64)),
    ],
    ids=["no image", "another size", "a class nobody configured", "a claim check nobody can read"],
)
def test_a_judgement_that_cannot_be_read_costs_the_score_and_not_the_label(judgement: Judgement) -> None:
    label, unreadable = make_reader().read(published(judgement), READ)
    assert unreadable
    assert (label.served_by, label.served) == (None, None)
    np.testing.assert_array_equal(label.sample.mask, DRAWN)


def test_what_can_never_be_learned_is_refused() -> None:
    record = published()
    with pytest.raises(BadMaskError):
        make_reader().read(published(mask=np.zeros((3, 6), np.uint8)), READ)
    with pytest.raises(MissingHeaderError):
        make_reader().read(Record(value=record.value), READ)
    with pytest.raises(BadRecordError):
        make_reader().read(Record(value=(record.value or b"")[:50], headers=record.headers), READ)


def test_claim_checks_are_read_from_the_artifact_store(tmp_path: Path) -> None:
    inline = encode_raster(PIXELS).data or b""
    digest = hashlib.sha256(inline).hexdigest()
    check = Raster(media_type=MediaType.PNG, uri="artifact:x", sha256=digest)
    fetch = claim_checks(AtomicFiles(str(tmp_path)), 1 << 20)
    with pytest.raises(ArtifactNotFoundError, match=f"artifact:x.*{digest}"):
        fetch("artifact:x", digest)
    ArtifactStore(str(tmp_path), cache_dir=tmp_path / "cache").put(inline)
    label, _ = make_reader(fetch).read(published(pixels=check), READ)
    np.testing.assert_array_equal(label.sample.pixels, PIXELS)
    assert claim_checks(AtomicFiles(str(tmp_path)), len(inline))("artifact:x", digest) == inline
    with pytest.raises(OversizeError, match=f"{len(inline)} bytes"):
        claim_checks(AtomicFiles(str(tmp_path)), len(inline) - 1)("artifact:x", digest)


def test_a_label_larger_than_the_limit_is_refused() -> None:
    record = published()
    size = len(record.value or b"")
    reader = LabelReader(FrameLimits(), TABLE, None, max_label_bytes=size)
    reader.read(record, READ)
    with pytest.raises(OversizeError, match=f"{size} bytes"):
        LabelReader(FrameLimits(), TABLE, None, max_label_bytes=size - 1).read(record, READ)


def test_the_newest_ids_are_known() -> None:
    known = KnownLabels(3)
    for number in range(5):
        known.add(f"l{number}")
    assert [number for number in range(5) if f"l{number}" in known] == [2, 3, 4]
    again = KnownLabels(3, known.state())
    again.add("l5")
    assert again.state() == ["l3", "l4", "l5"]


def test_a_smaller_bound_holds_from_the_next_label_on() -> None:
    known = KnownLabels(2, ["l0", "l1", "l2", "l3"])
    known.add("l4")
    assert known.state() == ["l3", "l4"]


def test_the_score_is_pooled_over_a_versions_labels_of_a_domain() -> None:
    scores = Prequential(CLASSES)
    assert scores.dice(1, "a") is None
    scores.add(1, "a", counted(found=9, missed=1))
    scores.add(1, "a", counted(found=0, missed=2))
    scores.add(1, "b", counted(found=1, missed=0))
    scores.add(2, "a", counted(found=0, missed=1))
    # 2 x 9 of 12 drawn and 9 judged; the mean of both labels would be 0.47.
    assert scores.dice(1, "a") == pytest.approx(18 / 21)
    assert scores.dice(1, "b") == 1.0
    assert scores.dice(2, "a") == 0.0
    assert scores.dice(2, "b") is None


def test_old_versions_are_forgotten() -> None:
    scores = Prequential(CLASSES, versions=2)
    perfect: Confusion = counted(found=1, missed=0)
    for version in (9, 10, 11, 3):
        scores.add(version, "a", perfect)
    assert [version for version in (3, 9, 10, 11) if scores.dice(version, "a") is not None] == [10, 11]
