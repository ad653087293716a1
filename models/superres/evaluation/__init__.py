"""Judging enhancers by maps, specimens and probes that no training has seen; nothing in training may import this."""
