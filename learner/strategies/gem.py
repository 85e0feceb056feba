"""Gradient episodic memory: no step may raise the loss of a past domain."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import numpy as np
import scipy.linalg
import scipy.optimize
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from learner.state import State
from learner.strategies.parts import Projected
from learner.strategies.row_cache import RowCache

Array: TypeAlias = NDArray[np.float64]


class GemProjectionConfig(BaseModel):
    """The projection of gradient episodic memory, for a composition.

    Attributes
    ----------
    margin : float
        The paper's memory strength: lower bound of the multipliers, not added
        to them afterwards.
    ridge : float
        Added to the diagonal of the Gram matrix.
    constraints : int or None
        Most past domains that constrain a step: those whose loss it would
        raise most. None is all of them, the paper's.
    refresh_every : int
        Steps for which the gradient of a past domain is used once it was
        computed. 1 computes all of them at every step, the paper's; with r,
        about every r-th past domain passes through the network at a step,
        oldest first, and is replayed at that step if replay is on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["gem"] = "gem"
    margin: Annotated[float, Field(ge=0)] = 0.5
    ridge: Annotated[float, Field(gt=0)] = 1e-3
    constraints: Annotated[int, Field(ge=1)] | None = None
    refresh_every: Annotated[int, Field(ge=1)] = 1


class GemConfig(GemProjectionConfig):
    """Gradient episodic memory (Lopez-Paz & Ranzato 2017), by default with replay.

    Attributes
    ----------
    margin, ridge, constraints, refresh_every
        As of :class:`GemProjectionConfig`.
    replay : bool
        Also put the samples of past domains into the loss, at no further
        pass (Hess, Tuytelaars & van de Ven 2023). False is the paper's.
    """

    replay: bool = True


def solve_dual(gram: Array, products: Array, margin: float, ridge: float) -> Array:
    r"""Solve GEM's dual problem exactly.

    Minimises ``1/2 v'(GG' + ridge I)v + (Gg)'v`` subject to ``v >= margin``
    (equation 11 of the paper, with the bound of its section 3). With the Cholesky factor
    ``LL'`` of the quadratic form and ``u = v - margin``, it is the
    non-negative least-squares problem ``min ||L'u + L^-1 c||, u >= 0``, which
    an active-set method ends after finitely many steps.

    Parameters
    ----------
    gram : NDArray[np.float64]
        (K, K), GG'.
    products : NDArray[np.float64]
        (K,), Gg.
    margin, ridge : float
        As in :class:`GemProjectionConfig`.

    Returns
    -------
    NDArray[np.float64]
        (K,) multipliers v.
    """
    quadratic = gram + ridge * np.eye(len(gram))
    if len(gram) == 1:
        single: Array = np.maximum(-products / quadratic[0], margin)
        return single
    lower = scipy.linalg.cholesky(quadratic, lower=True)
    linear = products + quadratic @ np.full(len(gram), margin)
    target = -scipy.linalg.solve_triangular(lower, linear, lower=True)
    above, _ = scipy.optimize.nnls(lower.T, target)
    multipliers: Array = above + margin
    return multipliers


class GemProjection:
    """Projects a gradient onto those that raise no past domain's loss.

    The Gram matrix is made in float32 where the gradients are, the problem of
    K variables is solved in float64: equal to 3e-7 to doing all of it in
    float64, which costs five times as much.

    Parameters
    ----------
    config : GemProjectionConfig
        Margin, ridge, and what is saved.
    together : bool
        All past domains are one constraint.
    """

    def __init__(self, config: GemProjectionConfig, *, together: bool = False) -> None:
        self._config = config
        self._cache = RowCache(config.refresh_every) if config.refresh_every > 1 else None
        self._together = together

    @property
    def together(self) -> bool:
        """Whether all past domains are one constraint."""
        return self._together

    def due(self, past: Sequence[str]) -> Sequence[str]:
        """Return the past domains whose gradients have to be computed."""
        return past if self._cache is None else self._cache.due(past)

    def __call__(self, gradient: Tensor, rows: Tensor, names: Sequence[str], past: Sequence[str]) -> Projected:
        """Return ``g + G'v`` if any product of g with a row is negative, else g itself.

        Parameters
        ----------
        gradient : Tensor
            (P,) float32.
        rows : Tensor
            (K, P) float32, gradients of past domains' losses.
        names, past : sequence of str
            The domains of the rows, and all that constrain the step.
        """
        worst = (rows @ gradient).double().cpu().numpy()
        if not np.isfinite(worst).all():
            # The step refuses it, with its own message; nothing of it is kept.
            return Projected(torch.full_like(gradient, math.nan), ())
        if self._cache is not None:
            rows, names = self._cache.take(rows, names, past), past
            worst = (rows @ gradient).double().cpu().numpy()
        if not (worst < 0).any():
            return Projected(gradient, ())
        violated = tuple(name for name, product in zip(names, worst, strict=True) if product < 0)
        if self._config.constraints is not None and self._config.constraints < len(worst):
            chosen = np.sort(np.argsort(worst, kind="stable")[: self._config.constraints])
            rows, worst = rows[torch.from_numpy(chosen).to(rows.device)], worst[chosen]
        multipliers = solve_dual((rows @ rows.T).double().cpu().numpy(), worst, self._config.margin, self._config.ridge)
        correction = torch.from_numpy(multipliers).to(rows)
        return Projected(torch.addmv(gradient, rows.T, correction), violated)

    def state(self) -> State:
        """Return the gradients that are still to be used."""
        return State() if self._cache is None else self._cache.state()

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        if self._cache is not None:
            self._cache.restore(state)
