"""One alert for each imperfection of a weld, however many frames show it."""

import hashlib

from inference.settings import AlertSettings
from schemas.events import DefectAlert
from schemas.judgements import Indication, Judgement
from schemas.welds import Stretch


class AlertRule:
    """Raises an alert where a stretch of indications of one class begins.

    An indication belongs to a stretch if it lies within it or at most
    ``merge_distance_mm`` from its ends. The stretches are kept with the weld,
    so that whoever goes on with it does not alert them again.

    Parameters
    ----------
    settings : AlertSettings
        Thresholds and merge distance.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings

    def observe(self, judgement: Judgement, stretches: list[Stretch]) -> tuple[DefectAlert, ...]:
        """Return the alerts that a judgement raises, one per class at most.

        Parameters
        ----------
        judgement : Judgement
            The next one of its weld.
        stretches : list of Stretch
            Those of the weld so far; brought up to date.
        """
        largest: dict[int, Indication] = {}
        for indication in judgement.indications:
            if self._is_above(indication):
                largest.setdefault(indication.code, indication)
        return tuple(
            _alert(judgement, indication)
            for code, indication in largest.items()
            if self._begins(code, judgement, stretches)
        )

    def _is_above(self, indication: Indication) -> bool:
        s = self._settings
        return indication.area_mm2 >= s.min_area_mm2 and indication.confidence >= s.min_confidence

    def _begins(self, code: int, judgement: Judgement, stretches: list[Stretch]) -> bool:
        """Add a sighting to its stretch and tell whether it begins one; stretches that it joins become one."""
        position, gap = judgement.position_mm, self._settings.merge_distance_mm
        near = [s for s in stretches if s.code == code and s.start_mm - gap <= position <= s.end_mm + gap]
        ends = [position, *(s.start_mm for s in near), *(s.end_mm for s in near)]
        first = near[0].first_frame if near else judgement.frame_id
        stretches[:] = [s for s in stretches if s not in near]
        stretches.append(Stretch(code=code, first_frame=first, start_mm=min(ends), end_mm=max(ends)))
        return not near


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
