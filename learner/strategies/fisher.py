"""The diagonal of the Fisher information, from one gradient for each sample."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from learner.strategies.batch import Batch

FisherKind: TypeAlias = Literal["exact", "empirical"]

_BYTES = 64 * 1024 * 1024
"""Of gradients held at a time: samples pass in chunks of at least one."""
_PIXELS = 4 * 128 * 128
"""Of images with masks in a chunk: what their layers answer is held too."""


class DiagonalFisher:
    r"""Mean over samples of the squared gradient of the log-likelihood, for each parameter.

    ``empirical`` takes the likelihood of the label that the sample has,
    ``exact`` the expectation over the labels that the network expects: over
    all classes, weighted by their probability; over masks, of which there are
    too many to count, by drawing one for each sample, which is right on
    average. The square of a mean gradient, as some libraries take it, is
    neither.

    The likelihood of a mask is that of its pixels, and the loss that is
    trained is their mean: the Fisher information is that of one pixel, so
    that it measures the curvature of that loss as it does for classes. The
    empirical one is that only where the network fits its labels: errors that
    neighbouring pixels share count as often as there are pixels.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    parameters : sequence of Parameter
        Of the model; P elements in all.
    """

    def __init__(self, model: nn.Module, parameters: Sequence[nn.Parameter]) -> None:
        self._model = model
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._named = {names[id(parameter)]: parameter for parameter in parameters}

    def __call__(self, batches: Sequence[Batch], kind: FisherKind, seed: int = 0) -> Tensor:
        """Return the diagonal, (P,) float32.

        Parameters
        ----------
        batches : sequence of Batch
            At least one sample in all.
        kind : str
            Which Fisher information.
        seed : int
            Of the masks that are drawn.
        """
        values = {name: parameter.detach() for name, parameter in self._named.items()}
        total = {name: torch.zeros_like(value) for name, value in values.items()}
        size = sum(value.numel() for value in values.values())
        squares = vmap(grad(self._log_likelihood), in_dims=(None, 0, 0))
        for batch in batches:
            chunk = max(1, min(_BYTES // (4 * size), _PIXELS // batch.targets[0].numel()))
            generator = torch.Generator(batch.images.device).manual_seed(seed)
            for start in range(0, len(batch), chunk):
                part = slice(start, start + chunk)
                images = batch.images[part]
                for targets, weights in self._targets(images, batch.targets[part], kind, generator):
                    for name, gradients in squares(values, images, targets).items():
                        flat = gradients.detach().flatten(1).square_()
                        total[name] += (weights @ flat).view_as(total[name])
        samples = sum(map(len, batches))
        return torch.cat([square.flatten() for square in total.values()]) / samples

    def _targets(
        self, images: Tensor, targets: Tensor, kind: FisherKind, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield labels to take the likelihood of, and what their squared gradients weigh."""
        pixels = targets[0].numel()
        ones = torch.ones(len(images), device=images.device)
        if kind == "empirical":
            yield targets, ones * pixels
            return
        with torch.no_grad():
            probabilities = torch.softmax(self._model(images), dim=1)
        if targets.ndim == 1:
            for value in range(probabilities.shape[1]):
                yield torch.full_like(targets, value), probabilities[:, value]
            return
        flat = probabilities.movedim(1, -1).reshape(-1, probabilities.shape[1])
        yield torch.multinomial(flat, 1, generator=generator).view_as(targets), ones * pixels

    def _log_likelihood(self, values: dict[str, Tensor], image: Tensor, target: Tensor) -> Tensor:
        """Return that of one sample, the mean over its pixels."""
        logits = functional_call(self._model, values, (image.unsqueeze(0),))
        return -functional.cross_entropy(logits, target.unsqueeze(0))
