"""One table of topics: what is in each, how it is keyed, split, kept and limited."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from schemas.events import DefectAlert, DriftAlarm, ModelReleased
from schemas.frames import Frame
from schemas.inspectors import InspectorStanding
from schemas.judgements import Judgement
from schemas.labels import LabelledFrame, ReviewRequest
from schemas.recalls import WeldRecall
from schemas.welds import PassEnd, WeldState

MIB = 1024 * 1024
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic.

    Attributes
    ----------
    name : str
        Without the prefix of the deployment.
    event_type : str
        CloudEvents type of its records; its last part is the version.
    payload : type of BaseModel or None
        Model of a JSON payload; None where the payload is opaque bytes.
    key : str
        What a record is keyed by, for people.
    description : str
        What its records say.
    partitions : int
        Partitions at creation.
    cleanup : {"delete", "compact"}
        Kafka's cleanup policy.
    retention_ms : int
        How long records are kept, in ms; -1 keeps them for ever.
    max_message_bytes : int
        Largest record batch.
    """

    name: str
    event_type: str
    payload: type[BaseModel] | None
    key: str
    description: str
    partitions: int = 1
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int = 7 * DAY_MS
    max_message_bytes: int = 4 * MIB


FRAMES = Topic(
    name="frames",
    event_type="weldstream.frame.v1",
    payload=Frame,
    key="weld id",
    description="Scan frames: metadata as headers, pixels as value.",
    partitions=4,
    retention_ms=DAY_MS,
)
JUDGEMENTS = Topic(
    name="judgements",
    event_type="weldstream.judgement.v1",
    payload=Judgement,
    key="weld id",
    description="One judgement for each frame.",
    partitions=4,
)
WELD_STATES = Topic(
    name="weld-states",
    event_type="weldstream.weld-state.v1",
    payload=WeldState,
    key="weld id",
    description="Welds in progress, each in the partition of its frames; a tombstone ends one.",
    partitions=FRAMES.partitions,
    cleanup="compact",
    retention_ms=-1,
)
WELD_PASSES = Topic(
    name="weld-passes",
    event_type="weldstream.pass-end.v1",
    payload=PassEnd,
    key="weld id",
    # Written after the last judgement and kept as long: while a judgement is there, what proves the end is too.
    description="What the chain of judgements of each ended pass ends with, in the partition of its frames.",
    partitions=FRAMES.partitions,
    retention_ms=JUDGEMENTS.retention_ms,
)
ALERTS = Topic(
    name="alerts",
    event_type="weldstream.alert.v1",
    payload=DefectAlert,
    key="weld id",
    description="Defects above the alert rule, once along a weld.",
)
REVIEW_REQUESTS = Topic(
    name="review-requests",
    event_type="weldstream.review-request.v1",
    payload=ReviewRequest,
    key="weld id",
    description="Frames that a person should label, with their pixels.",
)
LABELS = Topic(
    name="labels",
    event_type="weldstream.label.v1",
    payload=LabelledFrame,
    key="weld id",
    description="Labelled frames, with their pixels; the memory can be rebuilt from them.",
    retention_ms=-1,
)
INSPECTORS = Topic(
    name="inspector-standings",
    event_type="weldstream.inspector-standing.v1",
    payload=InspectorStanding,
    key="inspector id",
    description="Whose labels are learned, set aside or never learned.",
    cleanup="compact",
    retention_ms=-1,
)
MODEL_RELEASES = Topic(
    name="model-releases",
    event_type="weldstream.model-released.v1",
    payload=ModelReleased,
    key="model name",
    description="The version that is to serve from now on.",
    cleanup="compact",
    retention_ms=-1,
)
RECALLS = Topic(
    name="recalls",
    event_type="weldstream.weld-recall.v1",
    payload=WeldRecall,
    key="weld id",
    # Longer than judgements are kept: what was judged again is known as long as it could be asked for.
    description="Welds that were judged again by the version that a roll-back returned to.",
    retention_ms=30 * DAY_MS,
)
DRIFT_ALARMS = Topic(
    name="drift-alarms",
    event_type="weldstream.drift-alarm.v1",
    payload=DriftAlarm,
    key="domain",
    description="Changes of a stream found by a detector.",
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    event_type="weldstream.dead-letter.v1",
    payload=None,
    key="as the original record",
    description="Records that could not be processed, byte for byte, with the reason in headers.",
    retention_ms=30 * DAY_MS,
    max_message_bytes=8 * MIB,
)

TOPICS = (
    FRAMES,
    JUDGEMENTS,
    WELD_STATES,
    WELD_PASSES,
    ALERTS,
    REVIEW_REQUESTS,
    LABELS,
    INSPECTORS,
    MODEL_RELEASES,
    RECALLS,
    DRIFT_ALARMS,
    DEAD_LETTERS,
)
