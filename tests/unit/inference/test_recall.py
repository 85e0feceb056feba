from datetime import timedelta

import pytest

from inference.recall_log import request_id
from inference.recall_plan import Plan, RecallReport
from schemas.judgements import ModelRef, RecordPosition
from schemas.recalls import WeldRecall
from tests.unit.stream.ledger.test_chain import NOW, entry

AT = RecordPosition(topic="t.judgements", partition=0, offset=7)


def weld(weld_id: str, verdicts: str, *flipped: str) -> WeldRecall:
    return WeldRecall(
        recall_id="r",
        weld_id=weld_id,
        judged_by=(2,),
        judged_again_by=1,
        defective_before=verdicts[0] == "d",
        defective_after=verdicts[1] == "d",
        frames=3,
        gone=1,
        flipped=flipped,
        upto=AT,
        recalled_at=NOW,
    )


@pytest.mark.parametrize(
    ("changes", "concerned"),
    [
        ({}, True),
        ({"judged_by": (2, 3)}, False),
        ({"model_name": "other"}, False),
        ({"since": NOW}, True),
        ({"since": NOW + timedelta(seconds=1)}, False),
        ({"until": NOW}, False),
        ({"until": NOW + timedelta(seconds=1)}, True),
    ],
)
def test_which_judgements_a_plan_concerns(changes: dict[str, object], concerned: bool) -> None:
    fields: dict[str, object] = {"recall_id": "r", "model_name": "weld", "judged_by": (1,), "again_by": 2}
    judgement = entry(0, None).judgement
    assert judgement.model == ModelRef(name="weld", version=1, digest="1" * 64)
    assert Plan(**(fields | changes)).concerns(judgement) is concerned  # type: ignore[arg-type]


def test_the_report_lists_the_welds_whose_verdict_flips_and_says_what_it_leaves_out() -> None:
    welds = [weld("a", "ds", "a-1"), weld("b", "dd", "b-1"), weld("c", "ss")]
    report = RecallReport(Plan("r", "weld", (2,), 1), {w.weld_id: w for w in welds}, complete=False)
    assert list(report.lines()) == [
        "9 frames that v2 judged were judged by v1, 3 are gone",
        "  a: defective by v2, sound by v1",
        "  frames flip in 1 more welds, whose verdict stays: b",
        "a limit ended it before everything was judged again",
    ]
    assert [w.weld_id for w in report.flipped] == ["a"]


def test_a_request_has_the_same_id_each_time_and_fits_whatever_the_frame_is_called() -> None:
    assert request_id(2, 1, "x" * 200) == request_id(2, 1, "x" * 200)
    assert len({request_id(2, 1, "f"), request_id(1, 2, "f"), request_id(2, 1, "g")}) == 3
    assert len(request_id(2, 1, "x" * 200)) < 200
