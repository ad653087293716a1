"""Training of the super-resolution networks: presets, the loop, checkpoints."""
