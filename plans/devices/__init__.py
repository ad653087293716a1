"""Simulated ophyd devices: a physical twin of the beamline."""
