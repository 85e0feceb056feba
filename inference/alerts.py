"""One alert for each imperfection of a weld, however many frames show it."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from inference.settings import AlertSettings
from schemas.events import DefectAlert
from schemas.judgements import Indication, Judgement


@dataclass(slots=True)
class _Run:
    """A stretch of a weld in which a class was seen without a gap."""

    first_frame: str
    start_mm: float
    end_mm: float


class AlertRule:
    """Raises an alert where a stretch of indications of one class begins.

    An indication belongs to a stretch if it lies within it or at most
    ``merge_distance_mm`` from its ends. The frame that began a stretch raises
    the same alert each time it is seen, so that a repeated batch changes nothing.

    Parameters
    ----------
    settings : AlertSettings
        Thresholds, merge distance, and how many welds are remembered; the
        weld not seen for longest is forgotten first.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._welds: OrderedDict[str, dict[int, list[_Run]]] = OrderedDict()

    def observe(self, judgement: Judgement) -> tuple[DefectAlert, ...]:
        """Return the alerts that a judgement raises, one per class at most."""
        largest: dict[int, Indication] = {}
        for indication in judgement.indications:
            if self._is_above(indication):
                largest.setdefault(indication.code, indication)
        if not largest:
            return ()
        runs = self._runs(judgement.weld_id)
        return tuple(
            _alert(judgement, indication)
            for code, indication in largest.items()
            if self._begins(runs.setdefault(code, []), judgement)
        )

    def _is_above(self, indication: Indication) -> bool:
        s = self._settings
        return indication.area_mm2 >= s.min_area_mm2 and indication.confidence >= s.min_confidence

    def _runs(self, weld_id: str) -> dict[int, list[_Run]]:
        runs = self._welds.setdefault(weld_id, {})
        self._welds.move_to_end(weld_id)
        while len(self._welds) > self._settings.max_welds:
            self._welds.popitem(last=False)
        return runs

    def _begins(self, runs: list[_Run], judgement: Judgement) -> bool:
        """Add a sighting to its stretch and tell whether it is the stretch's first frame."""
        position, gap = judgement.position_mm, self._settings.merge_distance_mm
        near = [run for run in runs if run.start_mm - gap <= position <= run.end_mm + gap]
        if not near:
            runs.append(_Run(judgement.frame_id, position, position))
            return True
        # Two stretches that a frame joins both were alerted: keep both, so that their first frames stay known.
        for run in near:
            run.start_mm, run.end_mm = min(run.start_mm, position), max(run.end_mm, position)
        return any(run.first_frame == judgement.frame_id for run in near)


def alert_id(weld_id: str, code: int, frame_id: str) -> str:
    """Name an alert by weld, class and first frame."""
    return hashlib.sha256(f"{weld_id}\n{code}\n{frame_id}".encode()).hexdigest()


def _alert(judgement: Judgement, indication: Indication) -> DefectAlert:
    return DefectAlert(
        alert_id=alert_id(judgement.weld_id, indication.code, judgement.frame_id),
        weld_id=judgement.weld_id,
        code=indication.code,
        name=indication.name,
        position_mm=judgement.position_mm,
        area_mm2=indication.area_mm2,
        confidence=indication.confidence,
        frame_id=judgement.frame_id,
        model=judgement.model,
        raised_at=judgement.judged_at,
    )
