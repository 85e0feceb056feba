"""Any folder of images and masks as a stream."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from learner.lab.errors import BadExperimentError
from learner.lab.streams.base import Stream
from learner.lab.streams.files import IMAGES, digest_of, read_grey, read_mask
from learner.lab.streams.frames import Frame, FramesConfig


class FolderConfig(FramesConfig):
    """A folder for each domain, in alphabetical order, each with the folders ``images`` and ``masks``.

    A mask has the name of its image and any image suffix; its values are
    classes, 0 is background.

    Attributes
    ----------
    data : Path
        The folder of domains.
    classes : tuple of str
        Names of the mask values, the background first.
    group : str
        Regular expression that finds in an image's name what must not be
        split between training and testing; its first parenthesis counts.
    """

    kind: Literal["folder"] = "folder"
    data: Path = Path("data")
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=255)] = ("background", "defect")
    group: str = "(.+)"

    @model_validator(mode="after")
    def _group_can_be_found(self) -> Self:
        try:
            groups = re.compile(self.group).groups
        except re.error as error:
            msg = f"group {self.group!r} is no regular expression: {error}"
            raise ValueError(msg) from None
        if not groups:
            msg = f"group {self.group!r} needs a parenthesis around what must not be split"
            raise ValueError(msg)
        return self

    @property
    def name(self) -> str:
        """Name for people."""
        return f"folder {self.data.name}"

    def inputs(self) -> str:
        """Return a digest of all files."""
        return digest_of(self.data, (p for p in self.data.rglob("*") if p.is_file()))

    def open(self, seed: int) -> Stream:
        """Return the stream; the seed decides which groups are held out.

        Raises
        ------
        BadExperimentError
            If there is no domain, or an image has no mask of its size and classes.
        """
        folders = sorted(p for p in self.data.iterdir() if (p / "images").is_dir())
        if not folders:
            raise BadExperimentError(f"{self.data} has no folder with a folder 'images' in it")
        domains = {folder.name: [self._frame(path) for path in _images(folder / "images")] for folder in folders}
        return self.stream_of(self.name, domains, self.classes, seed)

    def _frame(self, path: Path) -> Frame:
        folder = path.parent.parent / "masks"
        found = [mask for mask in folder.glob(f"{path.stem}.*") if mask.suffix.lower() in IMAGES]
        if len(found) != 1:
            raise BadExperimentError(f"{path} has {len(found)} masks in {folder}, not one")
        pixels, mask = read_grey(path), read_mask(found[0])
        if pixels.shape != mask.shape or int(mask.max()) >= len(self.classes):
            raise BadExperimentError(
                f"mask {found[0]} is {mask.shape} with values to {int(mask.max())}; its image is {pixels.shape} "
                f"and there are {len(self.classes)} classes"
            )
        match = re.search(self.group, path.stem)
        if match is None:
            raise BadExperimentError(f"{path.name} has nothing that {self.group!r} finds")
        return Frame(pixels, mask, match.group(1))


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES)
