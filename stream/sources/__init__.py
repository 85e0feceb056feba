"""Where scans come from."""

from stream.sources.base import Source, SourceFrame

__all__ = ["Source", "SourceFrame"]
