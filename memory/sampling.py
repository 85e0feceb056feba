"""What to draw from the memory; always without replacement, and fewer where fewer are stored."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uniform:
    """``count`` samples, each stored one as likely as any other; of some domains only, or all but some."""

    count: int
    domains: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Balanced:
    """``per_domain`` samples of each domain, or a count for each that is named."""

    per_domain: int | Mapping[str, int]
    domains: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()


Policy = Uniform | Balanced
