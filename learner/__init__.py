"""Learns from labelled frames, judges its candidates and exports them."""
