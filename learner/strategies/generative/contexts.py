"""Which domains and classes there have been, and what stands for them in prior and gates."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from learner.strategies.generative.config import Key


class Contexts:
    """Counts domains and the classes that each has shown.

    Parameters
    ----------
    classes : int
        There are.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.domains: list[str] = []
        self.pairs: set[tuple[int, int]] = set()

    def enter(self, domain: str) -> bool:
        """Return whether a domain is new, and count it."""
        if domain in self.domains:
            return False
        self.domains.append(domain)
        return True

    def added(self, key: Key) -> int:
        """Return how many contexts of a key the newest domain adds."""
        if key == "domain":
            return 1
        return self.classes if key == "pair" or len(self.domains) == 1 else 0

    def see(self, domain: str, classes: Tensor) -> None:
        """Note the classes (N,) that a domain has shown."""
        index = self.domains.index(domain)
        self.pairs |= {(index, c) for c in set(classes.tolist())}

    def shown(self, domain: int | None = None) -> list[int]:
        """Return the classes that a domain, or any, has shown."""
        return sorted({c for d, c in self.pairs if domain is None or d == domain})

    def draw(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw pairs that were shown, all as often as each other: domains (N,) and classes (N,)."""
        pairs = torch.tensor(sorted(self.pairs))
        drawn = pairs[torch.randint(len(pairs), (count,), generator=rng)]
        return drawn[:, 0], drawn[:, 1]

    def weights(self, key: Key, domains: Tensor, classes: Tensor) -> Tensor:
        """Return the weight of each context for each sample.

        Parameters
        ----------
        key : {"class", "domain", "pair"}
            What a context is.
        domains : Tensor
            (N,) int64.
        classes : Tensor
            (N, classes) probabilities.

        Returns
        -------
        Tensor
            (N, contexts) float32, each row summing to 1.
        """
        if key == "class":
            return classes
        of_domain = functional.one_hot(domains.to(classes.device), len(self.domains)).to(classes)
        if key == "domain":
            return of_domain
        return (of_domain.unsqueeze(2) * classes.unsqueeze(1)).flatten(1)

    def copy(self) -> "Contexts":
        """Return these contexts as they are now."""
        other = Contexts(self.classes)
        other.domains, other.pairs = list(self.domains), set(self.pairs)
        return other

    def values(self) -> dict[str, Any]:
        """Return what :meth:`of_values` takes, as JSON."""
        pairs = [list(pair) for pair in sorted(self.pairs)]
        return {"classes": self.classes, "domains": list(self.domains), "pairs": pairs}

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "Contexts":
        """Return the contexts that :meth:`values` described."""
        contexts = cls(values["classes"])
        pairs: Sequence[Sequence[int]] = values["pairs"]
        contexts.domains = list(values["domains"])
        contexts.pairs = {(d, c) for d, c in pairs}
        return contexts
