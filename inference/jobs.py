"""A frame on its way through the service, and how a batch of them is computed."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.session import Predictions
from inference.slot import Serving
from schemas.errors import WeldstreamError
from stream.codec import DecodedFrame
from stream.preprocessing import pad_to_multiple
from stream.records import InRecord


class JudgingFailedError(WeldstreamError):
    """The model, or what follows it, fails on this frame and on no other of its batch."""

    reason = "judging_failed"


@dataclass(frozen=True, slots=True, eq=False)
class FrameJob:
    """A frame that can be judged.

    Attributes
    ----------
    record : InRecord
        As it arrived.
    decoded : DecodedFrame
        Metadata and pixels.
    image : (H, W) float32
        Prepared pixels.
    """

    record: InRecord
    decoded: DecodedFrame
    image: NDArray[np.float32]

    @property
    def weld(self) -> tuple[int, str]:
        """Partition and weld id: what a version is chosen for."""
        return self.record.partition, self.decoded.frame.weld_id


@dataclass(frozen=True, slots=True, eq=False)
class Rejected:
    """A record that cannot be judged, and why."""

    record: InRecord
    error: WeldstreamError


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """A frame with what the model said, before it is read as a judgement.

    Attributes
    ----------
    job, serving : FrameJob, Serving
        The frame, and who judged it.
    mask, confidence, entropy : (H, W) uint8, float32, float32
        As in :class:`~inference.session.Predictions`.
    seconds : float
        Share of the model run.
    """

    job: FrameJob
    serving: Serving
    mask: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32]
    seconds: float


Outcome = Computed | Rejected


def compute(
    items: Sequence[FrameJob | Rejected], serving_of: Mapping[tuple[int, str], Serving], max_run: int
) -> tuple[list[Outcome], list[int]]:
    """Run the models over the frames; what is rejected already passes through.

    The mapping holds the session of each weld, by partition and weld id.
    Frames that share model and size run together. A batch that fails is run
    frame by frame, so that one poison frame takes no other with it.

    Returns
    -------
    outcomes : list of Computed or Rejected
        In the order of the items.
    sizes : list of int
        Frames in each model run.
    """
    outcomes: dict[int, Outcome] = {}
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if isinstance(item, Rejected):
            outcomes[index] = item
        else:
            serving = serving_of[item.weld]
            groups[id(serving), item.image.shape].append(index)
    sizes: list[int] = []
    for members in groups.values():
        for start in range(0, len(members), max_run):
            part = members[start : start + max_run]
            jobs = [job for index in part if isinstance(job := items[index], FrameJob)]
            outcomes.update(zip(part, _run(jobs, serving_of[jobs[0].weld]), strict=True))
            sizes.append(len(part))
    return [outcomes[index] for index in range(len(items))], sizes


def _run(jobs: list[FrameJob], serving: Serving) -> list[Outcome]:
    started = time.perf_counter()
    try:
        predictions, (rows, columns) = _predict(jobs, serving)
    except Exception as error:  # noqa: BLE001 - whatever a native library raises must not stop the stream
        if len(jobs) > 1:
            return [outcome for job in jobs for outcome in _run([job], serving)]
        failure = JudgingFailedError(f"the model fails on this frame: {error}")
        failure.__cause__ = error
        return [Rejected(jobs[0].record, failure)]
    share = (time.perf_counter() - started) / len(jobs)
    return [
        Computed(
            job=job,
            serving=serving,
            mask=predictions.mask[index, :rows, :columns],
            confidence=predictions.confidence[index, :rows, :columns],
            entropy=predictions.entropy[index, :rows, :columns],
            seconds=share,
        )
        for index, job in enumerate(jobs)
    ]


def _predict(jobs: list[FrameJob], serving: Serving) -> tuple[Predictions, tuple[int, int]]:
    images, size = pad_to_multiple(np.stack([job.image for job in jobs]), serving.version.size_multiple)
    return serving.session.run(images), size
