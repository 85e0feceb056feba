"""A strategy of avalanche-lib in this laboratory: same stream, network, batches and budget, its own training loop.

Needs the extra "avalanche"; nothing of it is imported before a job asks for it.
"""

from typing import Any

import torch
from torch import nn

from learner.lab.settings import AvalancheConfig, Job
from learner.lab.streams import Stream


class AvalancheContestant:
    """Somebody else's strategy, given whole domains.

    Parameters
    ----------
    job : Job
        What is run; its strategy is an :class:`~learner.lab.settings.AvalancheConfig`.
    stream : Stream
        What is learned.
    model : nn.Module
        The network.
    """

    def __init__(self, job: Job, stream: Stream, model: nn.Module) -> None:
        assert isinstance(job.method.strategy, AvalancheConfig)
        raise NotImplementedError

    def learn_domain(self, index: int, order: torch.Generator) -> tuple[int, float]:
        """Learn a domain; return the steps made and the seconds they took."""
        raise NotImplementedError

    def kept_bytes(self) -> int:
        """Return the bytes of weights, moments, and what the plugins keep."""
        raise NotImplementedError
