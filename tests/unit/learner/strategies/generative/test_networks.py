import pytest
import torch
from torch import nn

from learner.model import ModelConfig, Segmenter, build_model
from learner.strategies.generative.networks import MlpClassifier, SplitSegmenter, split

CONFIG = ModelConfig(encoder="resnet18", encoder_depth=3, decoder_channels=(16, 8, 8), pretrained=False)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return build_model(CONFIG, 3)


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_parts_of_a_segmenter_make_the_whole(segmenter: Segmenter) -> None:
    halves = split(segmenter, internal=True)
    batch = images(2, 1, 64, 96)
    with torch.no_grad():
        features = halves.features(batch)
        logits, hidden = halves.classify(features)
        assert torch.equal(logits, segmenter(batch))
    assert hidden is features[-1]


def test_the_image_itself_is_no_feature(segmenter: Segmenter) -> None:
    features = split(segmenter, internal=True).features(images(2, 1, 64, 64))
    assert [tuple(level.shape[2:]) for level in features] == [(32, 32), (16, 16), (8, 8)]


def test_a_decoder_that_reads_the_image_is_refused() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder, self.segmentation_head = Levels(), First(), nn.Identity()

    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1, stride=2)

        def forward(self, batch: torch.Tensor) -> list[torch.Tensor]:
            return [batch, self.conv(batch)]

    class First(nn.Module):
        def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
            return levels[0] + levels[1].mean()

    with pytest.raises(ValueError, match="reads the image itself"):
        SplitSegmenter(Segmenter(Reads()))


def test_the_front_of_a_segmenter_is_its_encoder(segmenter: Segmenter) -> None:
    front = {id(p) for p in split(segmenter, internal=True).front()}
    assert front == {id(p) for p in segmenter.net.encoder.parameters()}
    assert not list(split(segmenter, internal=False).front())


def test_a_classifier_has_its_layers_and_its_front() -> None:
    front = nn.Linear(6, 4)
    model = MlpClassifier(4, 10, (8, 5), front)
    halves = split(model, internal=True)
    (features,) = halves.features(images(3, 6))
    logits, hidden = halves.classify((features,))
    assert (features.shape, logits.shape, hidden.shape) == ((3, 4), (3, 10), (3, 5))
    assert torch.equal(model(images(3, 6)), logits)
    assert list(halves.front()) == list(front.parameters())
    assert not list(split(model, internal=False).front())
    assert split(model, internal=False).features(images(3, 6))[0].shape == (3, 6)


def test_any_network_replays_inputs_and_no_other_features() -> None:
    model = nn.Conv2d(1, 2, 1)
    whole = split(model, internal=False)
    batch = images(2, 1, 4, 4)
    assert torch.equal(whole.classify(whole.features(batch)).logits, model(batch))
    with pytest.raises(ValueError, match=r"Conv2d cannot be split .* set internal to false"):
        split(model, internal=True)
