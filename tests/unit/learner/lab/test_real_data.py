"""The data sets that the tables are made of, read from where they lie."""

from pathlib import Path

import pytest
import torch

from learner.lab.streams import DigitsConfig, TilesConfig
from learner.lab.streams.base import Samples


def shown(samples: Samples) -> set[bytes]:
    return {image.numpy().tobytes() for image in samples.take().images}


@pytest.mark.parametrize(("stream", "names"), [("exposures", 6), ("hard", 5)])
def test_no_image_of_a_surface_is_trained_and_tested_on(shared_data: Path, stream: str, names: int) -> None:
    opened = TilesConfig.model_validate({"stream": stream, "data": shared_data, "most": 30, "size": 64}).open(0)
    assert len(opened.domains) == names
    trained = set().union(*(shown(d.train) for d in opened.domains))
    assert not trained & set().union(*(shown(d.test) | shown(d.validation) for d in opened.domains))
    for domain in opened.domains:
        masks = domain.train.take().targets
        assert set(masks.unique().tolist()) == {0, 1}
        assert len(domain.train) > len(domain.test) > 0


def test_a_tile_stays_on_its_side_under_every_exposure(shared_data: Path) -> None:
    config = TilesConfig(data=shared_data, most=30, size=64)
    one, two = (config.open(seed) for seed in (0, 1))
    sizes = [len(d.test) for d in one.domains]
    assert max(sizes) - min(sizes) <= 3
    assert shown(one.domains[0].test) != shown(two.domains[0].test)


def test_mnist_is_all_there(shared_data: Path) -> None:
    stream = DigitsConfig(source="mnist", change="split", scenario="class", data=shared_data / "mnist").open(0)
    assert sum(len(d.train) for d in stream.domains) == 60_000
    assert sum(len(d.test) for d in stream.domains) == 10_000
    # The first training digit is a five, the first digit for testing a seven.
    assert int(stream.domains[2].train.indices[0]) == 0
    assert int(stream.domains[3].test.indices[0]) == 0
    assert float(stream.domains[0].train.take(torch.arange(100)).images.max()) == 1.0
