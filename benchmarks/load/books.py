"""What came of the frames: one line for each judgement, and whether what it calls for was published with it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.alerts import AlertRule
from inference.flagging import FlaggingRule
from inference.settings import AlertSettings, FlaggingSettings
from schemas import DefectAlert, Judgement
from schemas.topics import ALERTS, JUDGEMENTS, REVIEW_REQUESTS
from schemas.welds import Stretch
from stream.codec import decode_event
from stream.records import InRecord

TOPICS = (JUDGEMENTS, ALERTS, REVIEW_REQUESTS)


@dataclass(frozen=True, slots=True)
class Line:
    """What is kept of a judgement.

    Attributes
    ----------
    frame_id, weld_id, pass_id : str
        Which frame, of which pass of which weld.
    version : int
        Who judged it.
    judged_at : float
        When, in seconds since 1970.
    latency : float
        Seconds from the frame's Kafka timestamp to ``judged_at``.
    """

    frame_id: str
    weld_id: str
    pass_id: str
    version: int
    judged_at: float
    latency: float


@dataclass(slots=True)
class Delay:
    """What a judgement calls for: where it comes, and how long after the judgement's record it was made.

    Attributes
    ----------
    wanted : dict of str to int
        Kafka timestamp in ms of the judgement, by the id of what it calls for.
    found : dict of str to int
        Kafka timestamp of the record, by its id.
    """

    wanted: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """How many never came."""
        return len(self.wanted.keys() - self.found.keys())

    @property
    def unasked(self) -> int:
        """How many came though nothing calls for them."""
        return len(self.found.keys() - self.wanted.keys())

    def seconds(self, since: float = 0.0) -> list[float]:
        """Return how much later each was made than its judgement, for judgements since a time in s since 1970."""
        return [
            (self.found[key] - at) / 1000 for key, at in self.wanted.items() if key in self.found and at >= since * 1000
        ]


class Books:
    """Reads judgements, alerts and review requests as anybody may, and holds them against each other.

    What a judgement calls for is worked out again from the judgement, by the
    service's own rules and their default settings.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.requests = Delay()
        self.alerts = Delay()
        self.bytes: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self._flagging = FlaggingRule(FlaggingSettings())
        self._alerting = AlertRule(AlertSettings())
        self._stretches: defaultdict[tuple[str, str], list[Stretch]] = defaultdict(list)
        self._arrived = asyncio.Event()

    def take(self, record: InRecord) -> None:
        """Enter a record of one of the three topics."""
        topic = record.topic.rpartition(".")[2]
        self.bytes[topic] += len(record.value or b"")
        self.records[topic] += 1
        if topic == JUDGEMENTS.name:
            self.judged(decode_event(record, JUDGEMENTS, Judgement), record.timestamp)
        elif topic == ALERTS.name:
            self.alerts.found[decode_event(record, ALERTS, DefectAlert).alert_id] = record.timestamp
        else:
            # Its id is the frame's; the body, pixels and all, need not be read for that.
            self.requests.found[(dict(record.headers)["ce_id"] or b"").decode()] = record.timestamp
        self._arrived.set()

    def judged(self, judgement: Judgement, timestamp: int) -> None:
        """Enter a judgement, and what it calls for."""
        weld, frame, pass_id = judgement.weld_id, judgement.frame_id, judgement.chain.pass_id
        at = judgement.judged_at.timestamp()
        self.lines.append(Line(frame, weld, pass_id, judgement.model.version, at, judgement.latency_seconds))
        if self._flagging.reasons(frame, judgement.indications, judgement.uncertainty):
            self.requests.wanted[frame] = timestamp
        for alert in self._alerting.observe(judgement, self._stretches[weld, pass_id]):
            self.alerts.wanted[alert.alert_id] = timestamp

    @property
    def settled(self) -> bool:
        """Whether all that the judgements call for has come."""
        return not (self.requests.missing or self.alerts.missing)

    async def until(self, count: int, patience_seconds: float = 60.0) -> None:
        """Wait for a number of judgements in all.

        Raises
        ------
        TimeoutError
            If nothing comes for ``patience_seconds``.
        """
        while len(self.lines) < count:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), patience_seconds)

    async def settle(self, patience_seconds: float = 10.0) -> None:
        """Give what is called for the time to be read; what has not come by then is missing."""
        try:
            async with asyncio.timeout(patience_seconds):
                while not self.settled:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True)
class Account:
    """Frames against judgements, and welds against versions.

    Attributes
    ----------
    lost, twice : int
        Frames without a judgement, and judgements beyond the first of a frame.
    mixed : int
        Passes of welds that more than one version judged.
    reopened : int
        Passes beyond the first of a weld.
    """

    lost: int
    twice: int
    mixed: int
    reopened: int


def account(lines: Sequence[Line], sent: int) -> Account:
    """Hold judgements against the number of frames that were sent."""
    frames = {line.frame_id for line in lines}
    versions: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for line in lines:
        versions[line.weld_id, line.pass_id].add(line.version)
    return Account(
        lost=sent - len(frames),
        twice=len(lines) - len(frames),
        mixed=sum(len(judges) > 1 for judges in versions.values()),
        reopened=len(versions) - len({weld for weld, _ in versions}),
    )
