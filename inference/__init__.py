"""Judges frames: consumes scans, runs the released model, publishes what it saw. No torch."""

__all__: list[str] = []
