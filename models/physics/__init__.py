"""Probe, fly-scan, fluorescence: the physics between a specimen and its spectra."""
