"""Measurements: each figure is a ratio within one run where it can be; none is a test."""
