"""CIFAR in its binary version, from a folder that the user has."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from learner.lab.streams.base import Scenario, Stream
from learner.lab.streams.files import digest_of
from learner.lab.streams.splitting import Labelled, split_stream
from schemas.errors import BadPayloadError

_SIDE, _COLOURS = 32, 3
_FILES = {
    10: ([f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"]),
    100: (["train.bin"], ["test.bin"]),
}


class CifarConfig(BaseModel):
    """CIFAR-10 or CIFAR-100, a few classes at a time.

    Attributes
    ----------
    classes : {10, 100}
        Which.
    domains : int
        How many; each has as many classes as the others.
    scenario : {"domain", "class", "task"}
        What is known at test time.
    validation_share : float
        Share of the training samples that is only validated on.
    data : Path
        Folder with the binary files, such as ``cifar-10-batches-bin``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cifar"] = "cifar"
    classes: Literal[10, 100] = 10
    domains: Annotated[int, Field(ge=1)] = 5
    scenario: Scenario = "class"
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    data: Path = Path("cifar-10-batches-bin")

    @property
    def name(self) -> str:
        """Name for people."""
        return f"split CIFAR-{self.classes}, {self.domains} domains, {self.scenario}-incremental"

    def inputs(self) -> str:
        """Return a digest of the files."""
        return digest_of(self.data, (self.data / name for part in _FILES[self.classes] for name in part))

    def open(self, seed: int) -> Stream:
        """Return the stream of a seed.

        Raises
        ------
        FileNotFoundError, BadPayloadError
            If a file is not there, or not of whole images.
        ValueError
            If the classes cannot be split evenly.
        """
        train, test = (self._read(names) for names in _FILES[self.classes])
        return split_stream(
            self.name,
            train,
            test,
            classes=self.classes,
            domains=self.domains,
            scenario=self.scenario,
            validation_share=self.validation_share,
            seed=seed,
        )

    def _read(self, names: list[str]) -> Labelled:
        labels = 1 if self.classes == 10 else 2  # noqa: PLR2004 - CIFAR-100 has coarse labels before its fine ones
        images, targets = [], []
        for name in names:
            data = np.fromfile(self.data / name, np.uint8)
            if not len(data) or len(data) % (labels + _COLOURS * _SIDE * _SIDE):
                raise BadPayloadError(f"{name} has {len(data)} bytes, which are no whole images of CIFAR")
            rows = data.reshape(-1, labels + _COLOURS * _SIDE * _SIDE)
            targets.append(rows[:, labels - 1].astype(np.int64))
            images.append(rows[:, labels:].reshape(-1, _COLOURS, _SIDE, _SIDE))
        classes = torch.from_numpy(np.concatenate(targets))
        if int(classes.max()) >= self.classes:
            raise BadPayloadError(f"{names[0]} has class {int(classes.max())}: is it CIFAR-{self.classes}?")
        return Labelled(torch.from_numpy(np.concatenate(images)), classes)
