"""Whatever a judgement says that its frame and its version do not say again is named."""

from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from inference.session import ModelSession, SessionLoader
from inference.slot import Serving
from inference.verification import differences
from schemas.judgements import Judgement
from schemas.topics import JUDGEMENTS
from stream.codec import DecodedFrame, FrameLimits, decode_event, decode_frame, encode_raster
from tests.unit.inference.records import as_read, frame_record
from tests.unit.inference.test_service import make_service, serve
from tests.unit.inference.tiny import write_model

Judged = tuple[Judgement, DecodedFrame, ModelSession]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder: Path = tmp_path_factory.mktemp("model")
    session = SessionLoader(1, (48, 64)).load(*write_model(folder))
    record = frame_record()
    service = make_service(InferenceMetrics(CollectorRegistry()))
    answer = serve(service, Serving(session, None), record)[0]
    return decode_event(as_read(answer), JUDGEMENTS, Judgement), decode_frame(record, FrameLimits()), session


def test_the_same_model_says_the_same_again(judged: Judged) -> None:
    assert differences(*judged) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pixels_sha256": "0" * 64}, "pixels_sha256"),
        ({"preprocessing": "other"}, "preprocessing"),
        ({"position_mm": 1.5}, "frame"),
        ({"weld_id": "other"}, "frame"),
        ({"domain": "other"}, "frame"),
        ({"classes": (1, 2)}, "classes"),
        ({"indications": ()}, "indications"),
        ({"uncertainty": 0.123}, "uncertainty"),
        ({"flagged": False}, "flagged"),
        ({"mask": encode_raster(np.zeros((48, 64), np.uint8))}, "mask"),
        ({"mask": encode_raster(np.zeros((4, 4), np.uint8))}, "mask"),
        ({"mask": encode_raster(np.zeros((4, 4), np.uint8)).model_copy(update={"data": b"no image"})}, "mask"),
        ({"thresholds": {"min_area_mm2": -1.0}}, "thresholds"),
        ({"thresholds": {"unheard_of": 1.0}}, "thresholds"),
    ],
)
def test_what_was_changed_is_named(judged: Judged, changes: dict[str, object], named: str) -> None:
    judgement, frame, session = judged
    assert differences(judgement.model_copy(update=changes), frame, session) == [named]


def test_another_model_is_named(judged: Judged) -> None:
    judgement, frame, session = judged
    model = judgement.model.model_copy(update={"digest": "0" * 64})
    assert differences(judgement.model_copy(update={"model": model}), frame, session) == ["model.digest"]
