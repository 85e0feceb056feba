import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from learner.lab.errors import BadExperimentError
from learner.lab.streams import CifarConfig, DigitsConfig, FolderConfig, SimulatorConfig
from learner.lab.streams.frames import draw_parts, resized_mask
from learner.lab.streams.idx import read_idx
from learner.lab.streams.transforms import nearest_rotation, permutation
from schemas.errors import BadPayloadError


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def mnist(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", rng.integers(256, size=(count, 28, 28), dtype=np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", (np.arange(count) % 10).astype(np.uint8))
    return folder


def test_idx_is_read(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "x.gz", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "x.gz"), array)


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(b"\0\0\x08\x03\0\0"),
        gzip.compress(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0"),
        gzip.compress(struct.pack(">4BI", 0, 0, 8, 1, 5) + b"1234"),
        gzip.compress(b"\0" * 100)[:-4],
    ],
)
def test_a_damaged_idx_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(BadPayloadError):
        read_idx(tmp_path / "x.gz")


def test_rotation_is_pillows_by_nearest_neighbour() -> None:
    image = np.random.default_rng(0).integers(1, 256, size=(28, 28), dtype=np.uint8)
    ours = nearest_rotation(28, 33.3)(torch.from_numpy(image)[None].float())[0].to(torch.uint8).numpy()
    np.testing.assert_array_equal(ours, np.asarray(Image.fromarray(image).rotate(33.3, Image.Resampling.NEAREST)))


def test_a_permutation_loses_no_pixel() -> None:
    images = torch.arange(2 * 16.0).view(2, 4, 4)
    shuffled = permutation(4, np.random.default_rng(0))(images)
    assert not torch.equal(shuffled, images)
    torch.testing.assert_close(shuffled.flatten(1).sort().values, images.flatten(1))


def test_the_first_domain_is_changed_too_and_seeds_differ() -> None:
    plain, one, other = (
        config.open(seed)
        for config, seed in (
            (DigitsConfig(change="split", domains=1), 0),
            (DigitsConfig(domains=2), 0),
            (DigitsConfig(domains=2), 1),
        )
    )
    first = one.domains[0].train.take(torch.arange(5)).images
    assert not torch.equal(first, one.domains[1].train.take(torch.arange(5)).images)
    assert not torch.equal(first, other.domains[0].train.take(torch.arange(5)).images)
    assert (len(plain.domains[0].train), len(plain.domains[0].test)) == (1438, 359)
    again = DigitsConfig(domains=2).open(0).domains[0].train.take(torch.arange(5)).images
    torch.testing.assert_close(first, again)


def test_more_domains_begin_with_the_same(tmp_path: Path) -> None:
    few, many = (
        DigitsConfig(source="mnist", change="rotated", domains=n, data=mnist(tmp_path)).open(3) for n in (2, 4)
    )
    torch.testing.assert_close(few.domains[1].test.take().images, many.domains[1].test.take().images)


def test_mnist_is_not_normalised(tmp_path: Path) -> None:
    stream = DigitsConfig(source="mnist", domains=2, data=mnist(tmp_path)).open(0)
    images = stream.domains[0].train.take().images
    assert (images.dtype, images.shape) == (torch.float32, (40, 784))
    assert 0.0 <= float(images.min()) < 0.01
    assert 0.99 < float(images.max()) <= 1.0


@pytest.mark.parametrize(
    ("scenario", "classes", "second"), [("class", 10, {2, 3}), ("task", 10, {2, 3}), ("domain", 2, {0, 1})]
)
def test_a_split_shows_each_class_once(scenario: str, classes: int, second: set[int]) -> None:
    stream = DigitsConfig.model_validate({"change": "split", "scenario": scenario}).open(0)
    assert len(stream.classes) == classes
    assert set(stream.domains[1].train.take().targets.tolist()) == second
    assert sum(len(d.train) for d in stream.domains) == 1438


def test_validation_samples_are_neither_trained_nor_tested_on() -> None:
    domain = DigitsConfig(validation_share=0.25, domains=1).open(0).domains[0]
    train, validation = set(domain.train.indices.tolist()), set(domain.validation.indices.tolist())
    assert not train & validation
    assert len(validation) == round(0.25 * 1438)
    assert domain.validation.images.data_ptr() != domain.test.images.data_ptr()


@pytest.mark.parametrize(
    "settings", [{"change": "rotated", "scenario": "class"}, {"change": "split", "domains": 3, "scenario": "class"}]
)
def test_what_does_not_go_together_is_refused(settings: dict[str, object]) -> None:
    config = DigitsConfig.model_validate(settings)
    with pytest.raises(ValueError, match=r"scenario|split evenly"):
        config.open(0)


def test_a_group_is_never_split() -> None:
    config = SimulatorConfig(domains=2, welds=10, frames=2, size=32)
    recurring = [f"tile-{i}" for i in range(30)]
    parts = draw_parts([recurring, [*recurring[10:], "other-1", "other-2"]], config, seed=0)
    assert set(parts) == {*recurring, "other-1", "other-2"}
    assert sum(parts[name] == "test" for name in recurring) == 9
    assert sum(parts[name] == "validation" for name in recurring) == 3


def test_simulated_welds_are_held_out_as_a_whole() -> None:
    stream = SimulatorConfig(domains=2, welds=10, frames=2, size=32).open(1)
    for domain in stream.domains:
        assert (len(domain.train), len(domain.validation), len(domain.test)) == (12, 2, 6)
    assert stream.masks
    assert stream.shape == (1, 32, 32)


def test_a_thin_crack_does_not_vanish_when_a_mask_shrinks() -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 63] = 2
    small = resized_mask(mask, 64)
    assert set(np.unique(small)) == {0, 2}
    assert (small.max(axis=1) == 2).all()


def image(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_a_folder_of_images_and_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for domain in ("b-side", "a-side"):
        for part in range(10):
            for view in "xy":
                image(
                    tmp_path / domain / "images" / f"part{part}-{view}.png",
                    rng.integers(256, size=(40, 50), dtype=np.uint8),
                )
                image(
                    tmp_path / domain / "masks" / f"part{part}-{view}.png",
                    rng.integers(2, size=(40, 50), dtype=np.uint8),
                )
    stream = FolderConfig(data=tmp_path, size=32, group=r"(part\d+)").open(0)
    assert [d.name for d in stream.domains] == ["a-side", "b-side"]
    assert (len(stream.domains[0].train), len(stream.domains[0].test)) == (12, 6)


def test_an_image_without_its_mask_is_named(tmp_path: Path) -> None:
    image(tmp_path / "d" / "images" / "lonely.png", np.zeros((40, 40), np.uint8))
    with pytest.raises(BadExperimentError, match="lonely"):
        FolderConfig(data=tmp_path).open(0)
    image(tmp_path / "d" / "masks" / "lonely.png", np.full((40, 40), 7, np.uint8))
    with pytest.raises(BadExperimentError, match="values to 7"):
        FolderConfig(data=tmp_path).open(0)


def test_a_group_needs_a_parenthesis() -> None:
    with pytest.raises(ValidationError, match="parenthesis"):
        FolderConfig(group="part")


def test_cifar_is_read_without_pickle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        rows = np.column_stack([np.arange(20) % 10, rng.integers(256, size=(20, 3072))]).astype(np.uint8)
        rows.tofile(tmp_path / name)
    stream = CifarConfig(data=tmp_path).open(0)
    assert stream.shape == (3 * 32 * 32,)
    assert set(stream.domains[4].test.take().targets.tolist()) == {8, 9}
    (tmp_path / "test_batch.bin").write_bytes(b"123")
    with pytest.raises(BadPayloadError, match="whole images"):
        CifarConfig(data=tmp_path).open(0)
