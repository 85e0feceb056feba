"""What a scenario offers: domains in the order in which they come, their traffic, and frames that are held out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas import ClassTable
from stream.sources import SourceFrame


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame about to be sent.

    Attributes
    ----------
    scan : SourceFrame
        Frame, pixels and true mask.
    held_out : bool
        Whether it must never be labelled.
    exam : str
        Exam it belongs to; empty for a frame of the stream.
    """

    scan: SourceFrame
    held_out: bool
    exam: str = ""


class Scenario(Protocol):
    """Scans that drift through domains."""

    @property
    def classes(self) -> ClassTable:
        """What the mask values mean."""
        ...

    @property
    def domains(self) -> Sequence[str]:
        """Names of the domains in the order in which they come."""
        ...

    def first_labels(self) -> Iterator[SourceFrame]:
        """Yield labelled frames of the first domain, for the first model."""
        ...

    def stream(self, domain: int) -> Iterator[Shown]:
        """Yield frames while a domain lasts, held-out frames of the domains up to it among them."""
        ...

    def exam(self, domain: int, exam: str) -> Iterator[Shown]:
        """Yield a domain's held-out frames: the same pixels at each exam, under ids of their own."""
        ...
