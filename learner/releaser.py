"""From a trained network to an announced version."""

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import torch
from safetensors.torch import load
from torch import nn

from learner.export import check_parity, export_graph, export_weights
from learner.model import ModelConfig
from learner.scores import prepared
from learner.settings import LearnerSettings
from memory.artifacts import ArtifactStore
from memory.registry import ModelRegistry
from memory.samples import Sample
from schemas.events import Artifact, GateVerdict, ModelReleased, ModelVersion, ReleaseKind
from schemas.topics import MODEL_RELEASES
from stream.codec import encode_event
from stream.preprocessing import VERSION
from stream.records import OutRecord

SOURCE = "/weldstream/learner"


@dataclass(slots=True)
class Stopwatch:
    """Seconds of the parts of a release."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Learned:
    """What a version has learned.

    Attributes
    ----------
    labels : int
        In all.
    until, read : mapping of int to int
        By partition of the labels topic the first offset that was not
        learned, and the first that was not read.
    without : collection of str
        Revoked inspectors, none of whose labels were learned.
    created_at : datetime
        When the training state was taken.
    metrics : mapping of str to float
        Kept with the version.
    """

    labels: int
    until: Mapping[int, int]
    read: Mapping[int, int]
    without: Collection[str]
    created_at: datetime
    metrics: Mapping[str, float]


class Releaser:
    """Exports, checks parity, stores and records versions. Blocking; nothing here announces.

    Parameters
    ----------
    settings : LearnerSettings
        Architecture, classes, and on how many frames parity is checked.
    artifacts : ArtifactStore
        Where the files go.
    registry : ModelRegistry
        Where versions are recorded.
    """

    def __init__(self, settings: LearnerSettings, artifacts: ArtifactStore, registry: ModelRegistry) -> None:
        self._settings = settings
        self._artifacts = artifacts
        self._registry = registry
        self._graph: tuple[Artifact, Path] | None = None

    def prepare(self) -> None:
        """Export and store the architecture's graph, once; a later release does not pay for it."""
        if self._graph is None:
            artifact = self._artifacts.put(export_graph(self._settings.model, len(self._settings.classes)))
            self._graph = artifact, self._artifacts.open_local(artifact)

    def publish(
        self,
        model: nn.Module,
        frames: Sequence[Sample],
        learned: Learned,
        *,
        parent: int | None,
        gate: GateVerdict | None,
        watch: Stopwatch,
        epoch: int | None = None,
    ) -> ModelReleased:
        """Record a version and that it is to serve from now on.

        Parameters
        ----------
        model : nn.Module
            Not trained meanwhile.
        frames : sequence of Sample
            Frames on which torch and onnxruntime must agree, at least one.
        learned : Learned
            What it learned.
        parent, gate : int or None, GateVerdict or None
            None for a first model.
        watch : Stopwatch
            Told the seconds of the parts export, parity, put and record.
        epoch : int or None
            That of the learner; None before any has led.

        Raises
        ------
        ParityError
            If the exported network computes something else; nothing is recorded.
        FencedError
            If another learner has taken over.
        """
        self.prepare()
        assert self._graph is not None
        graph, graph_path = self._graph
        config: ModelConfig = self._settings.model
        with watch.part("export"):
            data = export_weights(model)
        with watch.part("parity"), tempfile.TemporaryDirectory(prefix="weldstream-") as folder:
            path = Path(folder) / "weights.safetensors"
            path.write_bytes(data)
            images = prepared(frames, self._settings.release.parity_frames, config.size_multiple)
            difference = check_parity(model, graph_path, path, images)
        with watch.part("put"):
            weights = self._artifacts.put(data)
        seconds = {f"{name}_seconds": value for name, value in watch.seconds.items()}
        with watch.part("record"):
            version = self._registry.publish(
                graph=graph,
                weights=weights,
                parent=parent,
                architecture=config.name,
                classes=self._settings.classes,
                preprocessing=VERSION,
                size_multiple=config.size_multiple,
                labels_learned=learned.labels,
                labels_until=learned.until,
                labels_read=learned.read,
                without_inspectors=learned.without,
                metrics={**learned.metrics, **seconds, "parity_difference": difference},
                gate=gate,
                created_at=learned.created_at,
            )
            kind = ReleaseKind.INITIAL if parent is None else ReleaseKind.RELEASE
            return self._registry.promote(version.model.version, kind, epoch=epoch)

    def tensors(self, version: ModelVersion) -> dict[str, torch.Tensor]:
        """Return a version's weights by name."""
        tensors: dict[str, torch.Tensor] = load(self._artifacts.open_local(version.weights).read_bytes())
        return tensors


def announcement(settings: LearnerSettings, released: ModelReleased, clock: Callable[[], datetime]) -> OutRecord:
    """Return the record that announces a version; the same announcement always has the same id."""
    name = settings.registry.model_name
    return encode_event(
        settings.kafka.topic(MODEL_RELEASES),
        MODEL_RELEASES,
        released,
        key=name,
        event_id=f"{name}-{released.sequence}",
        source=SOURCE,
        time=clock(),
    )
