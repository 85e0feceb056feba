"""Phased-array scans of butt welds with exact masks, simulated from physical units."""

from stream.simulator.domains import DOMAINS, DomainSpec
from stream.simulator.source import SimulatorSource
from stream.simulator.weld import simulate_weld

__all__ = ["DOMAINS", "DomainSpec", "SimulatorSource", "simulate_weld"]
