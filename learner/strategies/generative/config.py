"""Settings of generative replay and of brain-inspired replay."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from learner.strategies.si import SiConfig

Scenario: TypeAlias = Literal["task", "domain", "class"]
Key: TypeAlias = Literal["class", "domain", "pair"]


class GeneratorConfig(BaseModel):
    """The network that generates what is replayed.

    Attributes
    ----------
    latent : int
        Size of the latent variable z.
    hidden : tuple of int
        Units of the decoder's layers, from z outwards; a separate encoder
        has the same, the other way round. For images and feature maps only
        the first is used, of the layer that opens the grid.
    channels : int
        Channels of the decoder's maps, for images and feature maps.
    learning_rate : float
        Of the generator's Adam.
    reconstruction : {"mse", "bce"}
        Gaussian of unit variance over standardised values, or Bernoulli over
        values in [0, 1].
    weight : float
        Of the generator's loss against the network's where both share
        parameters.
    latent_weight : float
        Of the latent loss against the reconstruction loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent: Annotated[int, Field(ge=1)] = 100
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (400, 400)
    channels: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    reconstruction: Literal["mse", "bce"] = "mse"
    weight: Annotated[float, Field(gt=0)] = 1.0
    latent_weight: Annotated[float, Field(ge=0)] = 1.0


class ReplayedConfig(BaseModel):
    """What both kinds share.

    Attributes
    ----------
    scenario : {"domain", "class", "task"}
        What changes between domains. *domain*: the inputs, all outputs stay.
        *class*: classes are added, all outputs compete. *task*: only the
        outputs of the classes that a domain has shown compete within it.
        Masks are always *domain*.
    generator : GeneratorConfig
        The generator.
    temperature : float
        Of soft targets, where they are used.
    penalties : tuple of SiConfig
        What holds the network's parameters beside replay; none that would
        need samples.
    seed : int
        Of the generator's weights, gates and draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: Scenario = "domain"
    generator: GeneratorConfig = GeneratorConfig()
    temperature: Annotated[float, Field(gt=0)] = 2.0
    penalties: Annotated[tuple[SiConfig, ...], Field(max_length=1)] = ()
    seed: int = 0


class GenerativeReplayConfig(ReplayedConfig):
    """Deep generative replay (Shin et al. 2017): a separate generator of inputs.

    Attributes
    ----------
    distill : bool
        Soft targets for what is replayed, instead of the most probable class.
    """

    kind: Literal["generative_replay"] = "generative_replay"
    distill: bool = False


class BrainInspiredReplayConfig(ReplayedConfig):
    """Brain-inspired replay (van de Ven, Siegelmann & Tolias 2020); each part has its switch.

    Attributes
    ----------
    feedback : bool
        The network itself is the generator's encoder.
    conditional : bool
        The prior has one Gaussian for each class or domain.
    modes_by : {"auto", "class", "domain", "pair"}
        What a Gaussian is for; a pair is a class in a domain. Automatic:
        classes for labels; for masks pairs of a domain and whether a defect
        is shown.
    gating : bool
        The decoder's hidden units are masked by context.
    gates_by : {"auto", "class", "domain", "pair"}
        What a context is. Automatic: the domain where the domain is what
        changes, else the class.
    gated_share : float
        Share of the units that a context switches off.
    internal : bool
        What is replayed are the features after the network's front, which is
        frozen from the first step on; else it is inputs.
    distill : bool
        Soft targets for what is replayed.
    """

    kind: Literal["bir"] = "bir"
    feedback: bool = True
    conditional: bool = True
    modes_by: Key | Literal["auto"] = "auto"
    gating: bool = True
    gates_by: Key | Literal["auto"] = "auto"
    gated_share: Annotated[float, Field(ge=0, lt=1)] = 0.7
    internal: bool = True
    distill: bool = True
