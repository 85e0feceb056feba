"""What every system under comparison can be asked to do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stream.sources import SourceFrame

Send = Callable[[], Awaitable[object]]
"""Sends one frame that was encoded before, and does not wait for its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a frame.

    Attributes
    ----------
    frame_id : str
        The frame.
    at : float
        When it came, in seconds of the event loop's clock.
    version : int
        The model version that judged; 0 where it was refused.
    mask_sha256 : str
        Of the (H, W) uint8 mask; empty where it was refused.
    refused : str
        Why it was not judged; empty where it was.
    """

    frame_id: str
    at: float
    version: int = 0
    mask_sha256: str = ""
    refused: str = ""


class Peer(Protocol):
    """A system that judges frames; all are driven through this and `StreamPeer` alone.

    Attributes
    ----------
    name : str
        For the table.
    setting : str
        How it was set up, for the table.
    answers : sequence of Answer
        All that have come so far, in the order of their arrival.
    log_file : Path
        What the serving process writes.
    """

    name: str
    setting: str

    @property
    def answers(self) -> Sequence[Answer]:
        """All answers so far."""

    @property
    def log_file(self) -> Path:
        """What the serving process writes."""

    async def start(self) -> None:
        """Start it, again if need be, and return when it says that it is ready."""

    def encode(self, scan: SourceFrame) -> Send:
        """Encode a frame beforehand."""

    async def bump(self, version: int) -> None:
        """Put a version in service the way it is documented; return when that is acknowledged.

        Raises
        ------
        Exception
            If the system says that it cannot.
        """


class StreamPeer(Peer, Protocol):
    """A system between two topics: it may be away while frames come in."""

    async def terminate(self) -> bool:
        """Send SIGTERM to the serving process; return when it has ended, False if it had to be killed."""

    async def kill(self) -> None:
        """Send SIGKILL to it and all its children."""

    def poison(self, scan: SourceFrame) -> Sequence[Send]:
        """Encode, each under the id ``FRAME-KIND``, records that look like a frame and cannot be read."""
