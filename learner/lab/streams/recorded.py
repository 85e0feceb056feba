"""Recorded labels as a stream: exactly what an online learner saw, from a manifest that ``lab record`` wrote."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from learner.lab.errors import BadExperimentError
from learner.lab.streams.base import Stream
from learner.lab.streams.frames import Frame, FramesConfig
from memory.samples import Sample
from schemas.classes import ClassTable
from schemas.errors import DigestMismatchError

MANIFEST = "manifest.json"
_LENGTH = 4
Split = Literal["train", "validation", "test"]


class Range(BaseModel):
    """Part of one partition of the labels topic.

    Attributes
    ----------
    topic, partition : str, int
        Of the broker.
    start, end : int
        First offset, and the one after the last.
    digest : str
        sha256 over offset, key and value of each record in order, so that it can be told whether a topic still has
        the same.
    labels, unreadable : int
        Records that became samples, and those that nobody could learn.
    file, file_digest : str
        The copy beside the manifest, and its sha256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    partition: Annotated[int, Field(ge=0)]
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    digest: str
    labels: int
    unreadable: int
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    file_digest: str


class Manifest(BaseModel):
    """A data set of labels.

    Attributes
    ----------
    recorded_at : datetime
        When it was copied.
    classes : ClassTable
        What mask values mean.
    ranges : tuple of Range
        What was copied.
    split : mapping of str to "train", "validation" or "test"
        Of each weld: no weld is in two.
    domains : tuple of str
        In the order in which their first labels were given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recorded_at: AwareDatetime
    classes: ClassTable
    ranges: tuple[Range, ...]
    split: dict[str, Split]
    domains: tuple[str, ...]


class RecordedConfig(FramesConfig):
    """Labels that were copied from a running stack; their split is the manifest's, the seed has no part in it.

    Attributes
    ----------
    data : Path
        Folder of the manifest.
    """

    kind: Literal["recorded"] = "recorded"
    data: Path = Path("recorded-labels")

    @property
    def name(self) -> str:
        """Name for people."""
        return f"recorded labels {self.data.name}"

    def inputs(self) -> str:
        """Return a digest of the manifest, which holds those of the labels."""
        return hashlib.sha256((self.data / MANIFEST).read_bytes()).hexdigest()

    def open(self, seed: int) -> Stream:
        """Return the stream; samples of a domain are in the order of their partition.

        Raises
        ------
        FileNotFoundError
            If there is no manifest, or a copy is gone.
        DigestMismatchError
            If a copy is not what the manifest says.
        BadExperimentError
            If a domain has no weld to train or to test on.
        """
        manifest = Manifest.model_validate_json((self.data / MANIFEST).read_text("utf-8"))
        domains: dict[str, list[Frame]] = {name: [] for name in manifest.domains}
        for part in manifest.ranges:
            for sample in read_samples(self.data / part.file, part.file_digest):
                domains[sample.domain].append(Frame(sample.pixels, sample.mask, sample.weld_id))
        for name, frames in domains.items():
            found = {manifest.split[frame.group] for frame in frames}
            if not {"train", "test"} <= found:
                raise BadExperimentError(f"domain {name!r} has labels of too few welds to train and to test on")
        classes = ("background", *(c.name for c in manifest.classes.classes))
        return self.stream_of(self.name, domains, classes, seed, manifest.split)


def read_samples(path: Path, digest: str) -> Iterator[Sample]:
    """Yield the samples of a copy.

    Raises
    ------
    DigestMismatchError
        If the file is not what was written.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise DigestMismatchError(f"{path.name} is not what its manifest says")
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + _LENGTH], "big")
        yield Sample.from_bytes(data[at + _LENGTH : at + _LENGTH + size])
        at += _LENGTH + size


def framed(sample: Sample) -> bytes:
    """Return a sample as it lies in a copy: its length, then itself."""
    data = sample.to_bytes()
    return len(data).to_bytes(_LENGTH, "big") + data
