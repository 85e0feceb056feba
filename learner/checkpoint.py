"""Training state on disk: complete or absent, whatever is interrupted."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from learner.state import State
from schemas.errors import WeldstreamError

TENSORS = "tensors.safetensors"
VALUES = "values.json"
PREFIX = "step-"
LATEST = "latest"


class CheckpointError(WeldstreamError):
    """A checkpoint cannot be read."""

    reason: ClassVar[str] = "bad_checkpoint"


class Position(BaseModel):
    """Where a learner stands in its input; moves together with the weights.

    Attributes
    ----------
    step : int
        Online steps made.
    labels_learned : int
        Labels learned.
    offsets : dict of str to int
        ``topic-partition`` to the next offset to read.
    memory_cursor : dict of str to int
        What the memory had taken in, as the memory defines it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: Annotated[int, Field(ge=0)] = 0
    labels_learned: Annotated[int, Field(ge=0)] = 0
    offsets: dict[str, int] = Field(default_factory=dict)
    memory_cursor: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a restarted learner continues from.

    Attributes
    ----------
    position : Position
        Where the input stands.
    state : State
        Of the trainer: model, optimiser, strategy, random states.
    extra : mapping
        JSON of whoever owns the trainer.
    """

    position: Position
    state: State
    extra: Mapping[str, Any]


class CheckpointStore:
    """A folder of checkpoints, of which the newest few are kept.

    A checkpoint is written beside its place, synchronised, and renamed; then
    the pointer to the newest is replaced the same way. A crash at any moment
    leaves the previous checkpoint or the new one.

    Parameters
    ----------
    root : Path
        The folder; made if it is missing.
    keep : int
        How many are kept.
    """

    def __init__(self, root: Path, keep: int = 3) -> None:
        if keep < 1:
            msg = "at least one checkpoint must be kept"
            raise ValueError(msg)
        self._root = root
        self._keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint; durable when this returns."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._sweep()
        number = max(self._numbers(), default=0) + 1
        final = self._root / f"{PREFIX}{number:012d}"
        partial = final.with_suffix(".partial")
        partial.mkdir()
        tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.state.tensors.items()}
        values = {
            "position": checkpoint.position.model_dump(mode="json"),
            "state": checkpoint.state.values,
            "extra": dict(checkpoint.extra),
        }
        _write(partial / TENSORS, save(tensors))
        _write(partial / VALUES, json.dumps(values).encode())
        _sync_folder(partial)
        partial.rename(final)
        pointer = self._root / f"{LATEST}.partial"
        _write(pointer, final.name.encode())
        pointer.replace(self._root / LATEST)
        _sync_folder(self._root)
        for old in sorted(self._numbers())[: -self._keep]:
            shutil.rmtree(self._root / f"{PREFIX}{old:012d}")
        return final

    def load_latest(self) -> Checkpoint | None:
        """Read the newest checkpoint; None if there has never been one.

        Raises
        ------
        CheckpointError
            If it is damaged: continuing from an older one would learn labels twice.
        """
        pointer = self._root / LATEST
        if not pointer.exists():
            return None
        folder = self._root / pointer.read_text()
        try:
            values = json.loads((folder / VALUES).read_bytes())
            tensors = load((folder / TENSORS).read_bytes())
            position = Position.model_validate(values["position"])
            return Checkpoint(position, State(tensors, values["state"]), values["extra"])
        except (OSError, ValueError, KeyError, SafetensorError, ValidationError) as error:
            msg = f"checkpoint {folder} cannot be read: {error}"
            raise CheckpointError(msg) from error

    def _numbers(self) -> list[int]:
        return [
            int(path.name.removeprefix(PREFIX))
            for path in self._root.glob(f"{PREFIX}*")
            if not path.name.endswith(".partial")
        ]

    def _sweep(self) -> None:
        """Remove what an interrupted run began to write."""
        for path in self._root.glob(f"{PREFIX}*.partial"):
            shutil.rmtree(path)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
