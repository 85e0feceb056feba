"""An oracle in the place of the inspector: it answers review requests with the simulator's true masks."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from schemas import ClassTable, LabelledFrame, MediaType, ReviewRequest
from stream.codec import encode_raster


class OracleInspector:
    """Labels frames by looking up the truth.

    Parameters
    ----------
    classes : ClassTable
        Mask values of the truth.
    truth : callable
        Returns the true mask of a frame id, or None where the frame must not
        be labelled because its weld is held out.
    clock : callable
        Returns the present time, with a time zone.
    """

    def __init__(
        self,
        classes: ClassTable,
        truth: Callable[[str], NDArray[np.uint8] | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._classes = classes
        self._truth = truth
        self._clock = clock

    def answer(self, request: ReviewRequest) -> LabelledFrame | None:
        """Return the label that answers a request, or None if the frame is held out."""
        mask = self._truth(request.frame.frame_id)
        if mask is None:
            return None
        return LabelledFrame(
            label_id=f"label-{request.request_id}",
            labelled_at=self._clock(),
            inspector_id="oracle",
            frame=request.frame,
            pixels=request.pixels,
            mask=encode_raster(mask, MediaType.PNG),
            classes=self._classes.codes,
            request_id=request.request_id,
            reasons=request.reasons,
            judgement=request.judgement,
        )
