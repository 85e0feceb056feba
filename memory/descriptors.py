"""Task descriptors: what a domain's name says of how its frames were acquired."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from schemas.frames import Frame

Field: TypeAlias = Literal["procedure", "probe", "frequency", "material"]
Choice: TypeAlias = Literal["all", "similar", "different"]

EDITION_MARK = "~"
"""Before the number of a domain that opened by itself; no frame's own domain may hold it."""

_GAIN = re.compile(r"(?P<name>.+)_(?P<gain>-?[0-9.]+(?:e[+-]?[0-9]+)?)db")
_FREQUENCY = re.compile(r"(?P<mhz>[0-9.]+(?:e[+-]?[0-9]+)?)mhz")
_DB_PER_HALF = 6.0


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A domain's name, read.

    Attributes
    ----------
    name : str
        Without gain and edition.
    fields : mapping of str to str
        Procedure, probe, frequency and material; empty where a plant names its domains itself.
    gain_db : float or None
        Where the gain is part of the name.
    edition : int
        Above 1 for a domain that was opened because its frames had changed.
    """

    name: str
    fields: dict[Field, str] = field(default_factory=dict)
    gain_db: float | None = None
    edition: int = 1

    @classmethod
    def parse(cls, domain: str) -> "Descriptor":
        """Read the name of a domain, as :func:`schemas.frames.derive_domain` or a plant gave it.

        Examples
        --------
        >>> Descriptor.parse("pa-s-01_5l32-a31_5mhz_carbon-steel_46db~2").gain_db
        46.0
        >>> Descriptor.parse("hall-3").fields
        {}
        """
        name, _, edition = domain.partition(EDITION_MARK)
        gain = None
        if (found := _GAIN.fullmatch(name)) is not None and (gain := _number(found["gain"])) is not None:
            name = found["name"]
        parts = name.split("_")
        fields: dict[Field, str] = {}
        if len(parts) == 4 and _frequency(parts[2]) is not None:  # noqa: PLR2004 - as derive_domain puts them
            fields = {"procedure": parts[0], "probe": parts[1], "frequency": parts[2], "material": parts[3]}
        return cls(name, fields, gain, int(edition) if edition.isdecimal() else 1)


def domain_of(frame: Frame, gain_step_db: float | None) -> str:
    """Name the domain that a frame is learned in.

    Parameters
    ----------
    frame : Frame
        With its own domain.
    gain_step_db : float or None
        Frames whose gains round to the same multiple of this step share a
        domain; None leaves the gain out.
    """
    if gain_step_db is None:
        return frame.domain
    rounded = round(frame.gain_db / gain_step_db) * gain_step_db
    return f"{frame.domain}_{rounded + 0.0:g}db"  # + 0.0: no gain is named -0


def edition_of(domain: str, edition: int) -> str:
    """Name an edition of a domain; the first is the domain itself."""
    return domain if edition == 1 else f"{domain}{EDITION_MARK}{edition}"


def share_path(domain: str, share_by: Sequence[Field]) -> tuple[str, ...]:
    """Return the shares that a domain is part of, widest first; the last is its own.

    A memory that is shared by probe, say, gives each probe the same part, and
    each domain of a probe the same part of that. A domain that a plant named
    itself has no fields: its name without gain and edition stands for each.
    """
    descriptor = Descriptor.parse(domain)
    return (*(descriptor.fields.get(name, descriptor.name) for name in share_by), domain)


def similarity(first: str, second: str) -> float:
    """Return how much two domains have in common, from 0 to 1.

    The mean over the fields that both have: of the words of procedure, probe
    and material the share in common (Jaccard), of the frequencies the lower
    over the higher, of the gains one half for each 6 dB between them. Names
    without fields are alike if they are the same.

    Examples
    --------
    >>> round(similarity("p-1_a_5mhz_steel", "p-1_a_2.5mhz_steel"), 3)
    0.875
    >>> similarity("hall-3", "hall-4")
    0.0
    """
    a, b = Descriptor.parse(first), Descriptor.parse(second)
    if a.fields and b.fields:
        found = [_words(a.fields[name], b.fields[name]) for name in ("procedure", "probe", "material")]
        low, high = sorted(float(_frequency(d.fields["frequency"]) or 0.0) for d in (a, b))
        found.append(low / high if high > 0 else 1.0)
    else:
        found = [float(a.name == b.name)]
    if a.gain_db is not None and b.gain_db is not None:
        found.append(0.5 ** (abs(a.gain_db - b.gain_db) / _DB_PER_HALF))
    return sum(found) / len(found)


def choose_domains(current: str, past: Sequence[str], choice: Choice, most: int) -> list[str]:
    """Return the past domains that take part in a step, in the order given.

    Parameters
    ----------
    current : str
        The domain that is being learned.
    past : sequence of str
        Oldest first.
    choice : {"all", "similar", "different"}
        All of them, those most like the current one, or those least like it.
        Of equals the newer ones are taken.
    most : int
        How many at most, where not all are taken.
    """
    if choice == "all" or len(past) <= most:
        return list(past)
    sign = 1.0 if choice == "similar" else -1.0
    ranked = sorted(range(len(past)), key=lambda i: (-sign * similarity(current, past[i]), -i))
    return [past[i] for i in sorted(ranked[:most])]


def _words(first: str, second: str) -> float:
    a, b = set(first.split("-")), set(second.split("-"))
    return len(a & b) / len(a | b)


def _frequency(part: str) -> float | None:
    found = _FREQUENCY.fullmatch(part)
    return None if found is None else _number(found["mhz"])


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
