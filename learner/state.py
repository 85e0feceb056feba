"""What a part of the learner remembers, in a form that is written without pickle."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class State:
    """Tensors and JSON values by name.

    Attributes
    ----------
    tensors : mapping of str to Tensor
        Written as safetensors.
    values : mapping of str to object
        Written as JSON: numbers, strings, lists and mappings of them.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def join(cls, parts: Mapping[str, "State"]) -> "State":
        """Put the states of several parts into one, each under its name."""
        return cls(
            {f"{name}/{key}": tensor for name, part in parts.items() for key, tensor in part.tensors.items()},
            {name: dict(part.values) for name, part in parts.items()},
        )

    def beside(self, other: "State") -> "State":
        """Return this state and the parts of another, which have other names."""
        return State({**self.tensors, **other.tensors}, {**self.values, **other.values})

    def part(self, name: str) -> "State":
        """Return what :meth:`join` put under a name.

        Raises
        ------
        KeyError
            If there is no such part.
        """
        prefix = f"{name}/"
        tensors = {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}
        return State(tensors, self.values[name])
