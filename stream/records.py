"""Kafka records as this code sees them, whichever client read or writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record to be produced.

    Attributes
    ----------
    topic : str
        Full name, prefix included.
    key, value : bytes or None
        Not both None: the client refuses such a record.
    headers : tuple of (str, bytes or None)
        In order; names may repeat.
    partition : int or None
        Where it goes; None leaves that to its key.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None


class InRecord(Protocol):
    """A record that was consumed; aiokafka's ``ConsumerRecord`` satisfies it."""

    @property
    def topic(self) -> str:
        """Full name of the topic."""

    @property
    def partition(self) -> int:
        """Partition of the topic."""

    @property
    def offset(self) -> int:
        """Offset in the partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970 UTC, set by the producer or the broker."""

    @property
    def key(self) -> bytes | None:
        """Key as it arrived."""

    @property
    def value(self) -> bytes | None:
        """Value as it arrived; None is a tombstone."""

    @property
    def headers(self) -> Headers:
        """Headers as they arrived; values may be None."""
