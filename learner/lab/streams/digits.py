"""Small images of digits, as permuted, rotated and split streams."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from learner.lab.streams.base import Scenario, Stream
from learner.lab.streams.idx import read_idx
from learner.lab.streams.splitting import Labelled, domain_of, names, split_stream
from learner.lab.streams.transforms import Transform, nearest_rotation, permutation, smooth_rotation

_CLASSES = 10
_MNIST = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


class DigitsConfig(BaseModel):
    """Digits, again and again, each time changed otherwise, or a few classes at a time.

    Attributes
    ----------
    source : {"digits", "mnist"}
        scikit-learn's 1,797 digits of 8 x 8 pixels, of which a fifth is for
        testing, or MNIST.
    change : {"permuted", "rotated", "split"}
        What the domains differ by. Permutations and angles (uniform in 0 to
        180 degrees, unsorted) come from the seed, and the first domain is
        changed too. Rotation is by nearest neighbour on MNIST, as in
        Mammoth, and bilinear on 8 x 8 pixels. "split" has the classes of the
        first domain, then others, in order.
    scenario : {"domain", "class", "task"}
        What is known at test time; only "split" has a choice. In its "domain"
        the classes are first and second of each pair.
    domains : int
        How many.
    validation_share : float
        Share of the training samples that is only validated on.
    data : Path
        Folder with the four IDX files of MNIST.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["digits"] = "digits"
    source: Literal["digits", "mnist"] = "digits"
    change: Literal["permuted", "rotated", "split"] = "permuted"
    scenario: Scenario = "domain"
    domains: Annotated[int, Field(ge=1, le=200)] = 5
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    data: Path = Path("mnist")

    @property
    def name(self) -> str:
        """Name for people."""
        scenario = f", {self.scenario}-incremental" if self.change == "split" else ""
        source = "MNIST" if self.source == "mnist" else self.source
        return f"{self.change} {source}, {self.domains} domains{scenario}"

    def inputs(self) -> str:
        """Return a digest of what is read."""
        if self.source == "digits":
            parts = _digits(np.random.default_rng(0))
            data = [t.numpy().tobytes() for part in parts for t in (part.images, part.targets)]
        else:
            data = [(self.data / name).read_bytes() for names in _MNIST.values() for name in names]
        return hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in data)).hexdigest()

    def open(self, seed: int) -> Stream:
        """Return the stream of a seed.

        Raises
        ------
        ValueError
            If scenario and change do not go together, or there are not enough classes.
        FileNotFoundError, BadPayloadError
            If MNIST is not there, or damaged.
        """
        rng = np.random.default_rng(seed)
        train, test = _digits(rng) if self.source == "digits" else _mnist(self.data)
        if self.change == "split":
            return split_stream(
                self.name,
                train,
                test,
                classes=_CLASSES,
                domains=self.domains,
                scenario=self.scenario,
                validation_share=self.validation_share,
                seed=seed,
            )
        if self.scenario != "domain":
            msg = f"{self.change} digits have the same classes in all domains: their scenario is 'domain'"
            raise ValueError(msg)
        size = train.images.shape[-1]
        # All of them before anything else is drawn: fewer domains are the first of more.
        transforms = [self._transform(size, rng) for _ in range(self.domains)]
        every = tuple(range(_CLASSES))
        domains = [
            domain_of(
                f"{self.change}-{i}",
                train.every(t),
                test.every(t),
                classes=every,
                validation_share=self.validation_share,
                rng=rng,
            )
            for i, t in enumerate(transforms, 1)
        ]
        return Stream(self.name, domains, names(_CLASSES), "domain")

    def _transform(self, size: int, rng: np.random.Generator) -> Transform:
        if self.change == "permuted":
            return permutation(size, rng)
        degrees = float(rng.uniform(0.0, 180.0))
        return nearest_rotation(size, degrees) if self.source == "mnist" else smooth_rotation(size, degrees)


def _digits(rng: np.random.Generator) -> tuple[Labelled, Labelled]:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    data = load_digits()
    images, targets = torch.from_numpy(data.images / 16).float(), torch.from_numpy(data.target).long()
    order = torch.from_numpy(rng.permutation(len(targets)))
    cut = len(targets) - len(targets) // 5
    train, test = order[:cut].sort().values, order[cut:].sort().values
    return Labelled(images[train], targets[train]), Labelled(images[test], targets[test])


def _mnist(folder: Path) -> tuple[Labelled, Labelled]:
    parts = []
    for images, labels in _MNIST.values():
        pixels, classes = read_idx(folder / images), read_idx(folder / labels)
        parts.append(Labelled(torch.from_numpy(pixels.copy()), torch.from_numpy(classes.astype(np.int64))))
    return parts[0], parts[1]
