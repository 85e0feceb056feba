import json
from collections.abc import Sequence

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from learner.losses import ClassLoss
from learner.state import State
from learner.strategies import Batch, DivergedError, StrategyConfig, make_strategy
from learner.strategies.generative import GENERATED, BrainInspiredReplayConfig
from learner.strategies.generative.dense import DenseCodec
from learner.strategies.generative.prior import MixturePrior, StandardPrior
from learner.strategies.generative.vector import VectorCodec
from learner.strategies.gradients import flatten
from learner.strategies.parts import Pull
from tests.contracts.strategy import StrategyContract, written
from tests.unit.learner.strategies.generative.setups import (
    BIR,
    GR,
    SMALL,
    Config,
    Labels,
    Masks,
    switched_off,
    two_domains,
)

KINDS = [Labels, Masks]
ALL: list[Config] = [
    GR,
    BIR,
    *(switched_off(part) for part in ("feedback", "conditional", "gating", "internal", "distill")),
]


def names(config: Config) -> str:
    off = [
        part for part in ("feedback", "conditional", "gating", "internal", "distill") if not getattr(config, part, True)
    ]
    return f"{config.kind} without {' '.join(off)}" if config.kind == "bir" and off else config.kind


@pytest.mark.parametrize(
    "config", [GR, BIR.model_copy(update={"internal": False, "feedback": False})], ids=["generative_replay", "bir"]
)
class TestAnyNetwork(StrategyContract):
    """Where inputs are replayed and the encoder is separate, any network will do."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", ALL, ids=names)
def test_continues_exactly_from_its_state(kind: type[Labels] | type[Masks], config: Config) -> None:
    whole, part, resumed = kind(config), kind(config), kind(config)
    for setup in (whole, part):
        two_domains(setup)
    resumed.model.load_state_dict(part.model.state_dict())
    resumed.optimizer.load_state_dict(part.optimizer.state_dict())
    resumed.strategy.restore(written(part.strategy.state()))
    assert resumed.strategy.domain == "b"
    for setup in (whole, resumed):
        report = setup.strategy.observe(setup.batch(9), {})
        assert GENERATED in report.memory_losses
        setup.strategy.begin_domain("c")
        setup.strategy.observe(setup.batch(10), {})
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters, resumed.parameters, strict=True))
    left, right = whole.strategy.state(), resumed.strategy.state()
    assert left.values == right.values
    assert all(torch.equal(tensor, right.tensors[name]) for name, tensor in left.tensors.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", ALL, ids=names)
def test_no_sample_is_in_its_state_and_more_samples_make_it_no_larger(
    kind: type[Labels] | type[Masks], config: Config
) -> None:
    setup = kind(config)
    two_domains(setup)
    before = {name: tensor.shape for name, tensor in setup.strategy.state().tensors.items()}
    for seed in range(3, 6):
        setup.strategy.observe(setup.batch(seed), {})
    state = setup.strategy.state()
    assert {name: tensor.shape for name, tensor in state.tensors.items()} == before
    held = torch.cat([tensor.double().flatten() for tensor in state.tensors.values()])
    images = torch.cat([setup.batch(seed).images for seed in range(6)]).double().flatten(1)
    # Not even a fifth of a sample's values: chance meetings of floats are rarer.
    assert torch.isin(images, held).double().mean(dim=1).max() < 0.2
    assert "images" not in json.dumps(state.values)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_not_looked_at(kind: type[Labels] | type[Masks]) -> None:
    with_memory, without = kind(BIR), kind(BIR)
    for setup, memory in ((with_memory, {"a": with_memory.batch(50)}), (without, {})):
        for domain in "ab":
            setup.strategy.begin_domain(domain)
            setup.strategy.observe(setup.batch(1), memory)
            setup.strategy.end_domain(memory)
    assert all(torch.equal(a, b) for a, b in zip(with_memory.parameters, without.parameters, strict=True))


def test_new_samples_weigh_one_domain_of_those_there_have_been() -> None:
    strategy = Labels(BIR).strategy
    shares = []
    for domain in "abca":
        strategy.begin_domain(domain)
        shares.append(strategy._share(domain))
        strategy.observe(Labels.batch(0), {})
        strategy.end_domain({})
    # Back in a domain, the past holds all three.
    assert shares == pytest.approx([1.0, 1 / 2, 1 / 3, 1 / 3])


def test_as_many_samples_are_generated_as_are_new() -> None:
    setup = Labels(BIR)
    two_domains(setup)
    assert setup.strategy.observe(setup.batch(5, 7), {}).samples == 14


@pytest.mark.parametrize("kind", KINDS)
def test_watching_teaches_the_generator_alone(kind: type[Labels] | type[Masks]) -> None:
    setup = kind(BIR)
    before = [p.detach().clone() for p in setup.parameters]
    losses = [setup.strategy.watch(setup.batch(0), "a") for _ in range(60)]
    assert sum(losses[-20:]) < 0.95 * sum(losses[:20])
    assert all(torch.equal(a, b) for a, b in zip(before, setup.parameters, strict=True))
    # What was watched is replayed from the first step of another domain on.
    setup.strategy.begin_domain("b")
    assert GENERATED in setup.strategy.observe(setup.batch(1), {}).memory_losses


def test_what_was_watched_of_the_domain_itself_is_not_replayed_within_it() -> None:
    setup = Labels(BIR)
    setup.strategy.begin_domain("a")
    setup.strategy.watch(setup.batch(0), "a")
    assert setup.strategy.observe(setup.batch(1), {}).memory_losses == {}


def test_watching_what_is_not_finite_changes_nothing() -> None:
    setup = Labels(BIR)
    setup.strategy.watch(setup.batch(0), "a")
    made = [p.detach().clone() for p in setup.strategy._generator.net.parameters()]
    with pytest.raises(DivergedError):
        setup.strategy.watch(Batch(torch.full((2, 12), torch.nan), torch.zeros(2, dtype=torch.int64)), "a")
    assert all(torch.equal(a, b) for a, b in zip(made, setup.strategy._generator.net.parameters(), strict=True))


def test_a_domain_that_nobody_ended_is_replayed_from_too() -> None:
    setup = Labels(BIR)
    setup.strategy.begin_domain("a")
    assert setup.strategy.observe(setup.batch(0), {}).memory_losses == {}
    setup.strategy.begin_domain("b")
    assert GENERATED in setup.strategy.observe(setup.batch(1), {}).memory_losses


@pytest.mark.parametrize("kind", KINDS)
def test_the_front_is_frozen_to_the_last_bit_and_the_rest_learns(kind: type[Labels] | type[Masks]) -> None:
    setup = kind(BIR)  # its optimiser decays weights
    front = {id(p) for p in setup.strategy._network.front()}
    before = [p.detach().clone() for p in setup.parameters]
    two_domains(setup)
    for old, new in zip(before, setup.parameters, strict=True):
        assert torch.equal(old, new) == (id(new) in front)
    assert front


def test_what_is_replayed_internally_are_features_and_else_inputs() -> None:
    for config, size in ((BIR, 8), (switched_off("internal"), 12), (GR, 12)):
        setup = Labels(config)
        setup.strategy.observe(setup.batch(0), {})
        assert setup.strategy._generator.shapes == ((size,),)


@pytest.mark.parametrize(("kind", "codec"), [(Labels, VectorCodec), (Masks, DenseCodec)])
def test_without_feedback_the_generator_has_an_encoder(
    kind: type[Labels] | type[Masks], codec: type[nn.Module]
) -> None:
    encoders = []
    for config in (BIR, switched_off("feedback")):
        setup = kind(config)
        setup.strategy.observe(setup.batch(0), {})
        made = setup.strategy._generator.net.codec
        assert isinstance(made, codec)
        encoders.append(made.encoder)
    assert encoders[0] is None
    assert encoders[1] is not None


def test_with_feedback_the_network_learns_to_generate_and_without_it_does_not() -> None:
    weights = {}
    for feedback in (True, False):
        for weight in (1.0, 100.0):
            generator = SMALL.model_copy(update={"weight": weight})
            setup = Labels(BIR.model_copy(update={"feedback": feedback, "generator": generator}))
            setup.strategy.observe(setup.batch(0), {})
            weights[feedback, weight] = setup.model.body[0][0].weight.detach()
    assert torch.equal(weights[False, 1.0], weights[False, 100.0])
    assert not torch.equal(weights[True, 1.0], weights[True, 100.0])


def test_without_conditional_replay_the_prior_has_no_modes() -> None:
    for config, prior in ((BIR, MixturePrior), (switched_off("conditional"), StandardPrior), (GR, StandardPrior)):
        setup = Labels(config)
        two_domains(setup)
        net = setup.strategy._generator.net
        assert isinstance(net.prior, prior)
        assert bool(list(net.prior.parameters())) == (prior is MixturePrior)


def test_without_gating_there_are_no_masks() -> None:
    for config, gated in ((BIR, True), (switched_off("gating"), False), (GR, False)):
        setup = Labels(config)
        two_domains(setup)
        net = setup.strategy._generator.net
        assert bool(net.codec.gates()) is gated
        assert any("masks" in name for name in setup.strategy.state().tensors) is gated


def test_soft_targets_are_what_distillation_is() -> None:
    losses = {}
    for distill in (True, False):
        for temperature in (2.0, 5.0):
            setup = Labels(
                BIR.model_copy(update={"distill": distill, "temperature": temperature, "conditional": False})
            )
            two_domains(setup)
            losses[distill, temperature] = setup.strategy.observe(setup.batch(4), {}).memory_losses[GENERATED]
    assert losses[False, 2.0] == losses[False, 5.0]
    assert losses[True, 2.0] != losses[True, 5.0]


@pytest.mark.parametrize(
    ("settings", "modes", "contexts"),
    [
        ({}, 3, 2),
        ({"scenario": "class"}, 3, 3),
        ({"modes_by": "domain", "gates_by": "class"}, 2, 3),
        ({"modes_by": "pair", "gates_by": "pair"}, 6, 6),
    ],
)
def test_modes_and_gates_are_by_what_is_set(settings: dict[str, str], modes: int, contexts: int) -> None:
    setup = Labels(BrainInspiredReplayConfig(generator=SMALL, **settings))
    two_domains(setup)
    net = setup.strategy._generator.net
    assert len(torch.cat(list(net.prior.means))) == modes
    assert {len(gates.masks) for gates in net.codec.gates()} == {contexts}
    known = {id(p) for group in setup.strategy._generator.optimizer.param_groups for p in group["params"]}
    assert known == {id(p) for p in net.parameters()}


def test_gates_of_a_domain_stay_as_they_were_when_another_begins() -> None:
    setup = Labels(BIR)
    setup.strategy.begin_domain("a")
    setup.strategy.observe(setup.batch(0), {})
    first = [gates.masks.clone() for gates in setup.strategy._generator.net.codec.gates()]
    setup.strategy.begin_domain("b")
    setup.strategy.observe(setup.batch(1), {})
    for before, gates in zip(first, setup.strategy._generator.net.codec.gates(), strict=True):
        assert torch.equal(gates.masks[:1], before)
        assert not torch.equal(gates.masks[1], before[0])


def test_modes_of_masks_are_by_domain_and_by_whether_a_defect_is_shown() -> None:
    setup = Masks(BIR)
    two_domains(setup)
    generator = setup.strategy._generator
    assert generator.contexts.pairs == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len(torch.cat(list(generator.net.prior.means))) == 4


class Recorder:
    """An anchor that pulls parameters to zero and notes what it is told."""

    follows_steps = True

    def __init__(self) -> None:
        self.steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self.ended = 0

    def pull(self, parameters: Tensor) -> Pull | None:
        return Pull(0.05 * parameters.square().sum(), 0.1 * parameters)

    def after_step(self, before: Tensor, after: Tensor, gradient: Tensor) -> None:
        self.steps.append((before, after, gradient.clone()))

    def end_domain(self, samples: Sequence[Batch]) -> None:
        self.ended += 1

    def state(self) -> State:
        return State({}, {"ended": self.ended})

    def restore(self, state: State) -> None:
        self.ended = state.values["ended"]


def test_an_anchor_is_added_and_sees_the_gradient_without_it() -> None:
    anchor = Recorder()
    plain, anchored = Labels(BIR), Labels(BIR, {"si": anchor})
    one, other = (setup.strategy.observe(setup.batch(0), {}) for setup in (plain, anchored))
    assert (one.penalty, other.penalty > 0) == (0.0, True)
    assert other.loss == one.loss
    before, after, gradient = anchor.steps[0]
    assert torch.linalg.vector_norm(gradient).item() == pytest.approx(one.gradient_norm, rel=1e-5)
    assert other.gradient_norm != pytest.approx(one.gradient_norm, rel=1e-3)
    assert torch.equal(after, flatten(anchored.parameters))
    assert not torch.equal(after, before)
    anchored.strategy.end_domain({})
    restored = Recorder()
    again = Labels(BIR, {"si": restored})
    again.strategy.restore(written(anchored.strategy.state()))
    assert restored.ended == 1


def test_synaptic_intelligence_goes_with_it_by_a_setting() -> None:
    config = TypeAdapter(StrategyConfig).validate_python(
        {"kind": "bir", "generator": SMALL.model_dump(), "penalties": [{"kind": "si", "weight": 5.0}]}
    )
    setups = [Labels(BIR), Labels(BIR)]
    for setup, chosen in zip(setups, (BIR, config), strict=True):
        setup.strategy = make_strategy(chosen, setup.model, setup.parameters, setup.optimizer, ClassLoss())
        two_domains(setup)
    plain, held = (setup.strategy.observe(setup.batch(7), {}) for setup in setups)
    assert plain.penalty == 0.0
    assert held.penalty > 0.0


def test_the_state_of_another_strategy_begins_generation_anew() -> None:
    setup = Labels(BIR)
    setup.strategy.restore(State({}, {"domain": "b", "ended": 2, "parts": {}}))
    assert setup.strategy.domain == "b"
    assert setup.strategy.observe(setup.batch(0), {}).memory_losses == {}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_changes_nothing(kind: type[Labels] | type[Masks]) -> None:
    setup = kind(BIR)
    two_domains(setup)
    weights = [p.detach().clone() for p in setup.parameters]
    made = [p.detach().clone() for p in setup.strategy._generator.net.parameters()]
    bad = setup.batch(5)
    with pytest.raises(DivergedError):
        setup.strategy.observe(Batch(bad.images * float("inf"), bad.targets), {})
    with torch.no_grad():
        next(setup.strategy._generator.net.parameters()).mul_(1e30)
        made[0].mul_(1e30)
    with pytest.raises(DivergedError):
        setup.strategy.observe(bad, {})
    assert all(torch.equal(a, b) for a, b in zip(weights, setup.parameters, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(made, setup.strategy._generator.net.parameters(), strict=True))


def test_samples_of_another_shape_are_refused_with_what_is_expected() -> None:
    setup = Masks(BIR)
    setup.strategy.observe(setup.batch(0), {})
    with pytest.raises(ValueError, match=r"makes samples of .*, not of"):
        setup.strategy.observe(Batch(torch.zeros(2, 1, 64, 64), torch.zeros(2, 64, 64, dtype=torch.int64)), {})


def test_a_network_that_shows_no_hidden_layer_cannot_be_the_encoder() -> None:
    setup = Labels(switched_off("internal"))
    setup.strategy._network = type(setup.strategy._network)(setup.model, None)
    with pytest.raises(ValueError, match="set feedback to false"):
        setup.strategy.observe(setup.batch(0), {})
