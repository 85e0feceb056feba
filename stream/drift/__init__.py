"""Drift detectors: each sees one number at a time and says when the stream it comes from has changed."""

from stream.drift.adwin import Adwin
from stream.drift.base import DriftDetector
from stream.drift.page_hinkley import PageHinkley

__all__ = ["Adwin", "DriftDetector", "PageHinkley"]
