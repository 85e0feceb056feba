"""What serves now, and the judgement on what may serve next."""

import copy
import time
from collections.abc import Sequence

from torch import nn

from learner.averaging import between
from learner.model import build_model
from learner.release_gate import ReleaseGate
from learner.releaser import Releaser
from learner.scores import FrameScores, frozen_copy, gate_sets
from learner.settings import LearnerSettings
from memory.registry import ModelRegistry
from memory.samples import Sample
from schemas.events import GateVerdict, ModelVersion


class Served:
    """The serving version and the one before, with what both make of frames. Blocking.

    Parameters
    ----------
    settings : LearnerSettings
        Architecture, classes and gate.
    registry, releaser : ModelRegistry, Releaser
        Where versions come from.
    """

    def __init__(self, settings: LearnerSettings, registry: ModelRegistry, releaser: Releaser) -> None:
        self._settings = settings
        self._registry = registry
        self._releaser = releaser
        self._gate = ReleaseGate(settings.gate, settings.classes)
        self.version: ModelVersion | None = None
        self._scores: FrameScores | None = None
        self._previous: tuple[int, FrameScores] | None = None

    @property
    def number(self) -> int | None:
        """Number of the serving version."""
        return self.version.model.version if self.version else None

    @property
    def scores(self) -> FrameScores:
        """What the serving version makes of frames."""
        assert self._scores is not None
        return self._scores

    def take(self, version: ModelVersion) -> None:
        """Make a version of the registry the serving one."""
        self.version, self._scores = version, self._load(version)

    def succeed(self, version: ModelVersion, scores: FrameScores) -> None:
        """Make a version that was just released the serving one."""
        if self.version is not None:
            self._previous = self.version.model.version, self.scores
        self.version, self._scores = version, scores

    def scores_of(self, number: int) -> FrameScores:
        """Return what a version of the registry makes of frames, reading its weights unless it served last."""
        if self._previous is None or self._previous[0] != number:
            self._previous = number, self._load(self._registry.get(number))
        return self._previous[1]

    def freeze(self, model: nn.Module) -> FrameScores:
        """Return the scores of a copy of a network, to be judged while the original may go on."""
        clone = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        return self._scores_of(clone)

    def judge(
        self, candidate: FrameScores, golden: Sequence[Sample], newest: Sequence[Sample], past: Sequence[Sample]
    ) -> GateVerdict:
        """Judge a candidate against the serving version, whose counts are remembered."""
        sets = gate_sets(golden, newest, past)
        began = time.perf_counter()
        ours, theirs = candidate.by_set(sets), self.scores.by_set(sets)
        seconds = time.perf_counter() - began
        self.scores.keep(s.label_id for samples in sets.values() for s in samples)
        return self._gate.judge(theirs, ours, seconds)

    def choose(
        self, candidate: FrameScores, golden: Sequence[Sample], newest: Sequence[Sample], past: Sequence[Sample]
    ) -> tuple[FrameScores, GateVerdict]:
        """Judge a candidate, and if it is refused what lies between it and the serving version.

        Returns
        -------
        tuple of FrameScores and GateVerdict
            The first that passes, else the candidate; with its verdict.
        """
        whole = self.judge(candidate, golden, newest, past)
        if whole.passed:
            return candidate, whole
        for share in self._settings.release.fallbacks:
            part = self._scores_of(between(self.scores.model, candidate.model, share))
            verdict = self.judge(part, golden, newest, past)
            if verdict.passed:
                return part, verdict
        return candidate, whole

    def _load(self, version: ModelVersion) -> FrameScores:
        model = build_model(self._settings.model.model_copy(update={"pretrained": False}), len(self._settings.classes))
        return self._scores_of(frozen_copy(model, self._releaser.tensors(version)))

    def _scores_of(self, model: nn.Module) -> FrameScores:
        return FrameScores(model, len(self._settings.classes), self._settings.model.size_multiple)
