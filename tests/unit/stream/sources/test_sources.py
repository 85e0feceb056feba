from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import BadMaskError, BadPayloadError, NonFiniteError, OversizeError
from stream.sources import Acquisition, ImageFolder, RawArray, Source, TiffStack, map_mask, open_source, threshold_mask
from tests.contracts.source import ACQUISITION, SourceContract
from tests.unit.stream.samples import speckle


class TestPngFolder(SourceContract):
    suffix = ".png"

    def store(self, folder: Path, frames: list[NDArray[np.generic]]) -> Path:
        paths = [folder / f"{index:03d}{self.suffix}" for index in range(len(frames))]
        for path, frame in zip(paths, frames, strict=True):
            Image.fromarray(frame).save(path)
        return paths[1]

    def open(self, folder: Path, acquisition: Acquisition) -> Source:
        return ImageFolder(folder, acquisition)


class TestPngFolder8Bit(TestPngFolder):
    dtype = "uint8"


class TestTiffFolder(TestPngFolder):
    suffix = ".tif"


class TestTiffStack(SourceContract):
    def store(self, folder: Path, frames: list[NDArray[np.generic]]) -> Path:
        first, *others = [Image.fromarray(frame) for frame in frames]
        path = folder / "stack.tif"
        first.save(path, save_all=True, append_images=others)
        return path

    def open(self, folder: Path, acquisition: Acquisition) -> Source:
        return TiffStack(folder / "stack.tif", acquisition)


class TestRawArray(SourceContract):
    byte_order = "little"

    def store(self, folder: Path, frames: list[NDArray[np.generic]]) -> Path:
        path = folder / "scan.bins"
        stored = np.dtype(self.dtype).newbyteorder("<" if self.byte_order == "little" else ">")
        path.write_bytes(b"".join(frame.astype(stored).tobytes() for frame in frames))
        return path

    def open(self, folder: Path, acquisition: Acquisition) -> Source:
        return RawArray(folder / "scan.bins", acquisition, dtype=self.dtype, shape=(12, 15), byte_order=self.byte_order)


class TestBigEndianRawArray(TestRawArray):
    byte_order = "big"


class TestFloatRawArray(TestRawArray):
    dtype = "float32"

    def test_nan_is_named(self, tmp_path: Path) -> None:
        frames = self.frames()
        frames[2][0, 0] = np.nan
        self.store(tmp_path, frames)
        with pytest.raises(NonFiniteError, match="frame 2"):
            list(self.open(tmp_path, ACQUISITION))


def grey_jpeg(path: Path, mode: str = "L") -> None:
    Image.new(mode, (15, 12)).save(path)


def test_masks_beside_the_images(tmp_path: Path) -> None:
    drawn = np.zeros((12, 15), np.uint8)
    drawn[3:5, 4:6] = 255
    drawn[0, 0] = 127
    for stem in "ab":
        grey_jpeg(tmp_path / f"{stem}.jpg")
    Image.fromarray(drawn).save(tmp_path / "a.png")
    first, second = ImageFolder(tmp_path, ACQUISITION, read_mask=threshold_mask(128, 3))
    assert first.mask is not None
    np.testing.assert_array_equal(first.mask, np.where(drawn == 255, 3, 0))
    assert first.mask.dtype == np.uint8
    assert second.mask is None


def test_masks_in_a_folder_of_their_own(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(speckle("uint16", (12, 15))).save(tmp_path / "a.png")
    drawn = np.full((12, 15), 7, np.uint8)
    Image.fromarray(drawn).save(masks / "a.png")
    source = ImageFolder(tmp_path, ACQUISITION, masks=masks, read_mask=map_mask({0: 0, 7: 2}))
    assert len(source) == 1
    assert (next(iter(source)).mask == 2).all()
    with pytest.raises(BadMaskError, match=r"a\.png.*\[7\]"):
        list(ImageFolder(tmp_path, ACQUISITION, masks=masks, read_mask=map_mask({0: 0})))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    grey_jpeg(tmp_path / "a.jpg")
    Image.new("L", (12, 15)).save(tmp_path / "a.png")
    with pytest.raises(BadMaskError, match=r"a\.png"):
        list(ImageFolder(tmp_path, ACQUISITION))


def test_colour_jpeg_is_refused(tmp_path: Path) -> None:
    grey_jpeg(tmp_path / "a.jpg", "RGB")
    with pytest.raises(BadPayloadError, match="grey"):
        list(ImageFolder(tmp_path, ACQUISITION))


def test_a_broken_jpeg_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff junk")
    with pytest.raises(BadPayloadError, match=r"a\.jpg"):
        list(ImageFolder(tmp_path, ACQUISITION))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        ImageFolder(tmp_path, ACQUISITION)


@pytest.mark.parametrize(("shape", "offset"), [((0, 4), 0), ((3, -4), 0), ((3, 4), -8)])
def test_raw_frames_have_pixels(tmp_path: Path, shape: tuple[int, int], offset: int) -> None:
    (tmp_path / "a.bins").write_bytes(bytes(24))
    with pytest.raises(BadPayloadError, match=r"a\.bins"):
        RawArray(tmp_path / "a.bins", ACQUISITION, dtype="uint8", shape=shape, offset_bytes=offset)


def test_raw_frames_are_limited(tmp_path: Path) -> None:
    (tmp_path / "a.bins").write_bytes(bytes(24))
    with pytest.raises(OversizeError, match=r"a\.bins"):
        RawArray(tmp_path / "a.bins", ACQUISITION, dtype="uint8", shape=(8192, 8193))


def test_sources_are_opened_by_path(tmp_path: Path) -> None:
    Image.fromarray(speckle("uint16")).save(tmp_path / "a.tif")
    (tmp_path / "a.bins").write_bytes(bytes(24))
    assert isinstance(open_source(tmp_path, ACQUISITION), ImageFolder)
    assert isinstance(open_source(tmp_path / "a.tif", ACQUISITION), TiffStack)
    assert isinstance(open_source(tmp_path / "a.bins", ACQUISITION, dtype="uint16", shape=(3, 4)), RawArray)
    with pytest.raises(ValueError, match="dtype and shape"):
        open_source(tmp_path / "a.bins", ACQUISITION)


def test_measured_b_scans(shared_data: Path) -> None:
    path = next((shared_data / "ml_ndt").glob("*.bins"))
    frames = list(RawArray(path, ACQUISITION, dtype="uint16", shape=(256, 256)))
    assert len(frames) == 10
    assert max(int(read.pixels.max()) for read in frames) == 17082


def test_measured_tiles(shared_data: Path) -> None:
    source = ImageFolder(
        shared_data / "magnetic_tile" / "MT_Blowhole", ACQUISITION, select=lambda path: path.name.startswith("exp1")
    )
    frames = list(source)
    assert frames
    assert all(read.mask is not None and read.mask.max() == 1 for read in frames)
    assert all(read.pixels.dtype == np.uint8 for read in frames)
