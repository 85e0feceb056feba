"""The scores that gate and trainer use: the very counts that the demo's report is made of."""

from stream.scoring import Confusion

__all__ = ["Confusion"]
