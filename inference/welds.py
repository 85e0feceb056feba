"""The welds in progress of one partition: which version judges each, and where its chain of judgements stands."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from schemas.judgements import ChainLink
from schemas.welds import PassEnd, Stretch, WeldState


@dataclass(slots=True)
class OpenWeld:
    """A weld in progress.

    Attributes
    ----------
    weld_id, pass_id : str
        The weld, and the frame with which this pass of it began.
    model_version : int
        The version that judges it.
    seen : float
        When its last frame was fetched, in seconds of a monotonic clock.
    judged, head, stretches
        As in :class:`~schemas.welds.WeldState`.
    under_way : int
        Batches with frames of it that are not published yet; it does not end before.
    """

    weld_id: str
    pass_id: str
    model_version: int
    seen: float
    judged: int = 0
    head: str | None = None
    stretches: list[Stretch] = field(default_factory=list)
    under_way: int = 0

    def link(self) -> ChainLink:
        """Return the place of the next judgement."""
        return ChainLink(pass_id=self.pass_id, sequence=self.judged, previous=self.head)

    def add(self, digest: str) -> None:
        """Note that a judgement was made, by the sha256 of its record's value."""
        self.judged, self.head = self.judged + 1, digest

    def state(self) -> WeldState:
        """Return what another process needs to go on."""
        return WeldState(
            weld_id=self.weld_id,
            pass_id=self.pass_id,
            model_version=self.model_version,
            judged=self.judged,
            head=self.head,
            stretches=tuple(self.stretches),
        )

    def end(self, at: datetime) -> PassEnd | None:
        """Return what proves the end of the pass; None where nothing of it was judged."""
        if self.head is None:
            return None
        return PassEnd(
            weld_id=self.weld_id,
            pass_id=self.pass_id,
            model_version=self.model_version,
            judged=self.judged,
            head=self.head,
            ended_at=at,
        )


class WeldBook:
    """Opens welds with their first frame and closes them when none has come for some time.

    Parameters
    ----------
    states : iterable of WeldState
        Welds that another process left in progress.
    now : float
        They count as seen now, in seconds of a monotonic clock.
    """

    def __init__(self, states: Iterable[WeldState], now: float) -> None:
        self._open = {
            s.weld_id: OpenWeld(s.weld_id, s.pass_id, s.model_version, now, s.judged, s.head, list(s.stretches))
            for s in states
        }
        self._closed: list[OpenWeld] = []

    def __len__(self) -> int:
        """Return the number of welds in progress."""
        return len(self._open)

    def enter(self, weld_id: str, frame_id: str, version: int, now: float) -> OpenWeld:
        """Return the weld of a frame; one that is not in progress begins with it, on this version."""
        weld = self._open.get(weld_id)
        if weld is None:
            weld = self._open[weld_id] = OpenWeld(weld_id, frame_id, version, now)
        weld.seen = now
        return weld

    def versions(self) -> set[int]:
        """Return the versions that welds in progress are judged by."""
        return {weld.model_version for weld in self._open.values()}

    def judged_by(self, version: int) -> list[str]:
        """Return the welds in progress that a version judges."""
        return [weld.weld_id for weld in self._open.values() if weld.model_version == version]

    def close(self, weld_ids: Iterable[str]) -> None:
        """End passes; a later frame of the weld begins a new one."""
        for weld_id in weld_ids:
            self._closed.append(self._open.pop(weld_id))

    def close_idle(self, before: float) -> None:
        """End the passes whose last frame came before a moment of the monotonic clock and is answered."""
        idle = (weld for weld in self._open.values() if weld.seen < before)
        self.close([weld.weld_id for weld in idle if not weld.under_way])

    def take_closed(self) -> list[OpenWeld]:
        """Return the passes that were closed since the last call: their ends are to be published, their states may go.

        A weld that was opened again meanwhile is among them: what is
        published of its new pass comes after the end of the old one.
        """
        closed, self._closed = self._closed, []
        return closed
