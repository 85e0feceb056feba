"""Real surfaces with masks: magnetic tiles under six exposures, and a harder stream with hot-rolled steel."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from learner.lab.streams.base import Stream
from learner.lab.streams.files import digest_of, read_grey, read_mask
from learner.lab.streams.frames import Frame, FramesConfig

_EXPOSURES = range(1, 7)
_THRESHOLD = 128
_NEU_CLASSES = (1, 2, 3)


class TilesConfig(FramesConfig):
    """Magnetic tiles (Huang et al. 2018), and NEU-Seg, as in the folder's README.

    Attributes
    ----------
    stream : {"exposures", "hard"}
        Exposure 1 to 6 in order; or dark tiles, bright tiles, then each of
        the three defects of hot-rolled steel. All binary.
    most : int
        Most frames of a domain, whole groups of them, splits included.
    data : Path
        Folder with ``magnetic_tile`` and, for "hard", ``neu_seg``.
    """

    kind: Literal["tiles"] = "tiles"
    stream: Literal["exposures", "hard"] = "exposures"
    most: Annotated[int, Field(ge=10)] = 400
    data: Path = Path("data")

    @property
    def name(self) -> str:
        """Name for people."""
        return "tiles, six exposures" if self.stream == "exposures" else "tiles and steel, the hard mixed stream"

    def inputs(self) -> str:
        """Return a digest of all files."""
        folders = ["magnetic_tile"] + (["neu_seg"] if self.stream == "hard" else [])
        return digest_of(self.data, (p for f in folders for p in (self.data / f).rglob("*.*") if p.is_file()))

    def open(self, seed: int) -> Stream:
        """Return the stream; the seed decides which groups are held out.

        Raises
        ------
        FileNotFoundError
            If the data are not there.
        """
        if self.stream == "exposures":
            domains = {f"exposure {i}": self._tiles({i}) for i in _EXPOSURES}
        else:
            domains = {"tile dark": self._tiles({1, 2}), "tile bright": self._tiles({5, 6}), **self._steel(seed)}
        return self.stream_of(self.name, domains, ("background", "defect"), seed)

    def _tiles(self, exposures: set[int]) -> list[Frame]:
        """Return tiles; those of three images without exposure and masks that say nothing stay as they are."""
        root = self.data / "magnetic_tile"
        rows = [row for row in _rows(root / "groups.csv") if int(row["exposure"]) in exposures]
        kept = self._bounded(Counter(row["tile_group"] for row in rows))
        frames = []
        for row in rows:
            if row["tile_group"] in kept:
                path = root / row["path"]
                mask = (read_mask(path.with_suffix(".png")) >= _THRESHOLD).astype(np.uint8)
                frames.append(Frame(read_grey(path), mask, f"tile-{row['tile_group']}"))
        return frames

    def _steel(self, seed: int) -> dict[str, list[Frame]]:
        """Return steel by the defect that a family shows most; a family is in one domain only."""
        root = self.data / "neu_seg"
        families: dict[str, list[Path]] = defaultdict(list)
        for row in _rows(root / "families.csv"):
            families[row["family"]].append(root / row["path"])
        names = sorted(families)
        order = [names[i] for i in np.random.default_rng((seed, 1)).permutation(len(names))]
        domains: dict[str, list[Frame]] = {f"steel {value}": [] for value in _NEU_CLASSES}
        for family in order:
            if all(len(frames) >= self.most for frames in domains.values()):
                break
            masks = [read_mask(_mask_of(path)) for path in families[family]]
            shown: Counter[int] = Counter()
            for mask in masks:
                shown.update({value: int((mask == value).sum()) for value in _NEU_CLASSES})
            name = f"steel {max(_NEU_CLASSES, key=lambda value: shown[value])}"
            if len(domains[name]) >= self.most:
                continue
            domains[name] += [
                Frame(read_grey(path), (mask > 0).astype(np.uint8), f"family-{family}")
                for path, mask in zip(families[family], masks, strict=True)
            ]
        return domains

    def _bounded(self, sizes: Mapping[str, int]) -> set[str]:
        """Return groups, whole ones, until there are enough frames: in an order that no class has a part in."""
        kept: set[str] = set()
        count = 0
        for group in sorted(sizes, key=lambda group: hashlib.sha256(group.encode()).digest()):
            if count < self.most:
                kept.add(group)
                count += sizes[group]
        return kept


def _mask_of(path: Path) -> Path:
    return path.parents[2] / "annotations" / path.parent.name / f"{path.stem}.png"


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
