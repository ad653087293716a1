"""Structured illumination and one detector without resolution: patterns judged, element maps recovered."""
