"""Averaged GEM: no step may raise the mean loss over the memory."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from learner.strategies.gem import GemProjection, GemProjectionConfig

_EPSILON = 1e-12
"""Keeps the division by a reference gradient of zero defined."""


class AGemProjectionConfig(BaseModel):
    """The projection of A-GEM, for a composition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["a_gem"] = "a_gem"


class AGemConfig(AGemProjectionConfig):
    """Averaged gradient episodic memory (Chaudhry et al. 2019).

    Attributes
    ----------
    replay : bool
        Also put the samples of past domains into the loss, at no further
        pass. False is the paper's.
    """

    replay: bool = False


def make_a_gem_projection() -> GemProjection:
    """Return GEM's projection for its case of one constraint, the mean over all past samples.

    Without a margin the multiplier is ``-<g, r> / <r, r>`` where it is
    positive: the paper's ``g - <g, r>/<r, r> r``.
    """
    return GemProjection(GemProjectionConfig(margin=0.0, ridge=_EPSILON), together=True)
