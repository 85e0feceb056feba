"""The books of a demo run add up."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas import (
    Artifact,
    ClassTable,
    Judgement,
    MediaType,
    ModelRef,
    ModelReleased,
    ModelVersion,
    RecordPosition,
    ReleaseKind,
)
from schemas.judgements import ChainLink
from stream.codec import encode_raster
from stream.demo.ledger import Ledger, Published
from stream.demo.report import EXAM_END, build_report, exam_start, shortcomings, write_report

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLASSES = len(ClassTable())


def mask_of(pixels: int, value: int = 1) -> NDArray[np.uint8]:
    mask = np.zeros((8, 8), np.uint8)
    mask.flat[:pixels] = value
    return mask


def judgement(frame_id: str, *, version: int = 1, at: float = 0.0, latency: float = 0.05) -> Judgement:
    return Judgement(
        frame_id=frame_id,
        weld_id="w",
        position_mm=0,
        frame_time=START,
        domain="a",
        source=RecordPosition(topic="frames", partition=0, offset=0),
        pixels_sha256="0" * 64,
        model=ModelRef(name="weld", version=version, digest="1" * 64),
        preprocessing="standard-1",
        thresholds={},
        chain=ChainLink(pass_id="f", sequence=0, previous=None),
        judged_at=START + timedelta(seconds=at),
        mask=encode_raster(mask_of(0), MediaType.PNG),
        classes=ClassTable().codes,
        indications=(),
        uncertainty=0.0,
        flagged=False,
        latency_seconds=latency,
        compute_seconds=0.03,
    )


def released(version: int, *, at: float, kind: ReleaseKind = ReleaseKind.RELEASE, until: int = 0) -> ModelReleased:
    return ModelReleased(
        version=ModelVersion(
            model=ModelRef(name="weld", version=version, digest="1" * 64),
            parent=None,
            graph=Artifact(sha256="2" * 64, size_bytes=1),
            weights=Artifact(sha256="1" * 64, size_bytes=1),
            architecture="Unet",
            classes=ClassTable(),
            preprocessing="standard-1",
            size_multiple=32,
            labels_learned=until,
            labels_until={0: until},
            metrics={},
            gate=None,
            created_at=START,
        ),
        kind=kind,
        sequence=version,
        announced_at=START + timedelta(seconds=at),
    )


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(CLASSES)
    ledger.begin_domain("a", START)
    return ledger


def test_a_frame_without_judgement_is_lost_and_a_second_judgement_counts(ledger: Ledger) -> None:
    for name in ("f1", "f2", "f3"):
        ledger.publish(name, Published("a", held_out=False, exam="", mask=mask_of(4)))
    ledger.judge(judgement("f1"), mask_of(4), "served")
    ledger.judge(judgement("f2"), mask_of(4), "served")
    ledger.judge(judgement("f2"), mask_of(4), "served")
    assert (ledger.lost, ledger.judged_twice) == (1, 1)
    assert ledger.open() == 1 + 3, "the frozen model has judged none"


def test_only_held_out_frames_are_scored_and_exams_apart(ledger: Ledger) -> None:
    ledger.publish("learned", Published("a", held_out=False, exam="", mask=mask_of(4)))
    ledger.publish("first", Published("a", held_out=True, exam=exam_start("a"), mask=mask_of(4)))
    ledger.publish("last", Published("a", held_out=True, exam=EXAM_END, mask=mask_of(4)))
    ledger.judge(judgement("learned"), mask_of(0), "served")
    ledger.judge(judgement("first"), mask_of(2), "served")
    ledger.judge(judgement("last"), mask_of(4), "served")
    first, last = (ledger.exam("a", "served", exam) for exam in (exam_start("a"), EXAM_END))
    assert first is not None
    assert last is not None
    assert first.dice == pytest.approx(2 * 2 / 6)
    assert last.dice == 1.0
    assert ledger.exam("a", "frozen", EXAM_END) is None


def test_the_report_tells_defect_pixels_from_those_with_their_class(ledger: Ledger) -> None:
    ledger.publish("f", Published("a", held_out=True, exam=EXAM_END, mask=mask_of(4, value=1)))
    ledger.judge(judgement("f"), mask_of(4, value=2), "served")
    (domain,) = report_of(ledger)["domains"]
    assert (domain["dice_served_end"], domain["class_dice_served_end"]) == (1.0, 0.0)


def test_a_label_is_served_when_a_version_that_learned_it_first_judges(ledger: Ledger) -> None:
    for name in ("f1", "f2", "f3"):
        ledger.publish(name, Published("a", held_out=False, exam="", mask=mask_of(4)))
    ledger.answered[0, 3] = START
    ledger.answered[0, 9] = START
    ledger.release(released(1, at=0, kind=ReleaseKind.INITIAL, until=3))
    ledger.release(released(2, at=4, until=4))
    ledger.judge(judgement("f1", version=1, at=1), mask_of(0), "served")
    assert ledger.label_to_served() == [], "version 1 has learned only labels before offset 3"
    ledger.judge(judgement("f2", version=2, at=5), mask_of(0), "served")
    (way,) = ledger.label_to_served()
    assert way.seconds == sum(way.parts.values()) == 5.0
    assert way.parts["to_judgement"] == 1.0
    found = report_of(ledger)
    assert found["labels"]["served"] == 1
    assert (found["label_to_served_s"]["p50"], found["label_to_served_s"]["p50_of_all"]) == (5.0, 5.0)
    ledger.answered[0, 10] = ledger.answered[0, 11] = START
    assert report_of(ledger)["label_to_served_s"]["p50_of_all"] is None, "three of four were not served"


def test_latency_around_swaps_is_kept_apart(ledger: Ledger) -> None:
    for name in ("f1", "f2"):
        ledger.publish(name, Published("a", held_out=False, exam="", mask=mask_of(0)))
    ledger.release(released(2, at=10))
    ledger.judge(judgement("f1", at=5, latency=0.04), mask_of(0), "served")
    ledger.judge(judgement("f2", at=10.5, latency=0.09), mask_of(0), "served")
    assert ledger.latency_ms() == {"p50": 65.0, "p99": 89.5, "swap_p99": 90.0}


def finished(served: float, *, first_served: int = 8) -> Ledger:
    """Return the books of a run over two domains; ``served`` pixels of 8 are found in the second."""
    ledger = Ledger(CLASSES)
    for domain in ("a", "b"):
        ledger.begin_domain(domain, START)
        for role, found in (
            ("frozen", 8 if domain == "a" else 2),
            ("served", first_served if domain == "a" else served),
        ):
            ledger.publish(f"end-{domain}", Published(domain, held_out=True, exam=EXAM_END, mask=mask_of(8)))
            ledger.judge(judgement(f"end-{domain}"), mask_of(int(found)), role)
    ledger.release(released(1, at=0, kind=ReleaseKind.INITIAL))
    ledger.release(released(2, at=1))
    return ledger


def report_of(ledger: Ledger) -> dict[str, Any]:
    return build_report(ledger, learned=3, seconds={"setup": 1, "first_model": 2, "streaming": 3}, refused=())


def test_a_run_that_learned_has_no_shortcoming() -> None:
    assert shortcomings(report_of(finished(8))) == []


def test_shortcomings_are_named() -> None:
    ledger = finished(2, first_served=4)
    ledger.publish("never", Published("a", held_out=False, exam="", mask=mask_of(0)))
    found = "\n".join(shortcomings(report_of(ledger)))
    assert "1 of 3 frames were never judged" in found
    assert "a: the first domain fell" in found
    assert "b: served 0.4 against frozen 0.4" in found


def test_the_report_is_written_whole(tmp_path: Path) -> None:
    ledger = finished(8)
    json_path, html_path = write_report(report_of(ledger), ledger, tmp_path)
    assert '"lost": 0' in json_path.read_text()
    page = html_path.read_text()
    assert page.count("<svg") == 2
    assert not re.search(r'(src|href)="(?!#|data:)', page), "a self-contained page loads nothing"
