"""Weights that come with subprobe: a safetensors file and its card, both of one name."""
