"""Spectra to element maps."""
