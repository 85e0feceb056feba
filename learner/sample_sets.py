"""Samples that are fixed for the life of a model line: the golden set, and what a first model was made of."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from memory.artifacts import ArtifactStore
from memory.files import AtomicFiles
from memory.samples import Sample
from schemas.errors import BadPayloadError
from schemas.events import Artifact

GOLDEN = "golden"
"""Held-out labels on which every candidate is judged."""

FIRST_TRAINING = "first-training"
FIRST_HELD_OUT = "first-held-out"
"""What a model made before any label streamed was trained on, and what was kept from it."""

_LENGTH = struct.Struct("<Q")


class SampleSet:
    """Stores a set once, as an artifact with a pointer beside the versions. Blocking.

    Parameters
    ----------
    uri, options : str, mapping
        Of the registry.
    model_name : str
        The model line.
    kind : str
        Which set.
    artifacts : ArtifactStore
        Holds the samples.
    """

    def __init__(
        self, uri: str, options: Mapping[str, Any], model_name: str, kind: str, artifacts: ArtifactStore
    ) -> None:
        self._files = AtomicFiles(uri, options)
        self._pointer = f"models/{model_name}/{kind}.json"
        self._artifacts = artifacts

    def keep(self, samples: Sequence[Sample]) -> bool:
        """Store the set unless there is one; False if there is."""
        artifact = self._artifacts.put(pack(samples))
        return self._files.create(self._pointer, artifact.model_dump_json().encode())

    def load(self) -> list[Sample]:
        """Return the set, empty where none was stored."""
        pointer = self._files.read(self._pointer)
        if pointer is None:
            return []
        return unpack(self._artifacts.open_local(Artifact.model_validate_json(pointer)).read_bytes())


def pack(samples: Sequence[Sample]) -> bytes:
    """Return samples as one file: each its length in 8 little-endian bytes, then itself."""
    stored = [sample.to_bytes() for sample in samples]
    return b"".join(_LENGTH.pack(len(data)) + data for data in stored)


def unpack(data: bytes) -> list[Sample]:
    """Return what :func:`pack` wrote.

    Raises
    ------
    BadPayloadError
        If the file is truncated or damaged.
    """
    samples, at = [], 0
    while at < len(data):
        if len(data) < at + _LENGTH.size:
            raise BadPayloadError("the sample set is truncated")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        samples.append(Sample.from_bytes(data[at : at + length]))
        at += length
    return samples
