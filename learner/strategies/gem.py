"""Gradient episodic memory: no step may raise the loss of a past domain."""

from typing import Annotated, Literal, TypeAlias

import numpy as np
import scipy.linalg
import scipy.optimize
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from learner.strategies.parts import Projected

Array: TypeAlias = NDArray[np.float64]


class GemConfig(BaseModel):
    """Gradient episodic memory (Lopez-Paz & Ranzato 2017), by default with replay.

    Attributes
    ----------
    margin : float
        The paper's memory strength: lower bound of the multipliers, not added
        to them afterwards.
    ridge : float
        Added to the diagonal of the Gram matrix.
    replay : bool
        Also put the samples of past domains into the loss, at no further
        pass (Hess, Tuytelaars & van de Ven 2023). False is the paper's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["gem"] = "gem"
    margin: Annotated[float, Field(ge=0)] = 0.5
    ridge: Annotated[float, Field(gt=0)] = 1e-3
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
        As in :class:`GemConfig`.

    Returns
    -------
    NDArray[np.float64]
        (K,) multipliers v.
    """
    quadratic = gram + ridge * np.eye(len(gram))
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
    config : GemConfig
        Margin and ridge.
    """

    def __init__(self, config: GemConfig) -> None:
        self._config = config

    def __call__(self, gradient: Tensor, rows: Tensor) -> Projected:
        """Return ``g + G'v`` if any product of g with a row is negative, else g itself.

        Parameters
        ----------
        gradient : Tensor
            (P,) float32.
        rows : Tensor
            (K, P) float32, gradients of the past domains' losses.
        """
        products = rows @ gradient
        if not bool((products < 0).any()):
            return Projected(gradient, ())
        if not bool(torch.isfinite(products).all()):
            return Projected(gradient, ())  # the step refuses it, with its own message
        multipliers = solve_dual(
            (rows @ rows.T).double().cpu().numpy(),
            products.double().cpu().numpy(),
            self._config.margin,
            self._config.ridge,
        )
        correction = torch.from_numpy(multipliers).to(rows)
        violated = tuple(int(i) for i in torch.nonzero(products < 0).flatten())
        return Projected(torch.addmv(gradient, rows.T, correction), violated)
